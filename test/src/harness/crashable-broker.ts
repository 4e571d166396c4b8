import { BrokerNode } from "@millrace/broker/internal";
import { type Broker, createBrokerOf, listenWithUws, SYSTEM_CLOCK } from "@millrace/gateway/internal";
import type { Test } from "tap";
import type { LogLine } from "./broker-process.ts";

/** A broker in this process whose shard threads can be made to die. */
export interface CrashableBroker {
  readonly broker: Broker;
  readonly node: BrokerNode;
  readonly log: readonly Pick<LogLine, "level" | "event">[];
  /** Times that a thread came back. */
  restarts(): number;
}

export async function startCrashableBroker(
  t: Test,
  dataDir: string,
  shards: number,
  shardThreads: number,
): Promise<CrashableBroker> {
  let opened: BrokerNode | undefined;
  const log: { level: string; event: string }[] = [];
  const broker = await createBrokerOf(
    {
      openNode: async (_options, logger) => {
        opened = await BrokerNode.open({ dataDir, shards, shardThreads, logger });
        return opened;
      },
      listen: listenWithUws,
      clock: SYSTEM_CLOCK,
    },
    { dataDir, port: 0, logger: { log: (level, event, fields) => log.push({ level, event, ...fields }) } },
  );
  t.teardown(() => broker.close());
  const restarts = (): number => log.filter(({ event }) => event === "shard-thread-restarted").length;
  return { broker, node: opened as BrokerNode, log, restarts };
}
