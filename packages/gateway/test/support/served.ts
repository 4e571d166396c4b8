import type { LogLevel } from "@millrace/broker/internal";
import type { BrokerOptions } from "../../src/broker-options.ts";
import type { Broker, BrokerParts } from "../../src/create-broker.ts";
import { createBrokerOf } from "../../src/create-broker.ts";
import { SYSTEM_CLOCK } from "../../src/system-clock.ts";
import { listenWithUws } from "../../src/uws-listener.ts";
import { FakeNode } from "./fake-node.ts";

/** A broker on a real port of its own choice, over a node without threads that answers by itself. */
export interface Served {
  readonly broker: Broker;
  readonly node: FakeNode;
  readonly httpUrl: string;
  readonly logged: { level: LogLevel; event: string; fields: Record<string, unknown> }[];
}

export async function serve(
  teardown: (close: () => Promise<void>) => void,
  options: Partial<BrokerOptions> & { node?: FakeNode; parts?: Partial<BrokerParts> } = {},
): Promise<Served> {
  const { node = new FakeNode({ shards: 2, auto: true }), parts, ...rest } = options;
  const logged: Served["logged"] = [];
  const broker = await createBrokerOf(
    { openNode: () => Promise.resolve(node), listen: listenWithUws, clock: SYSTEM_CLOCK, ...parts },
    {
      dataDir: "unused",
      port: 0,
      logger: { log: (level, event, fields = {}) => logged.push({ level, event, fields }) },
      ...rest,
    },
  );
  teardown(() => broker.close());
  return { broker, node, httpUrl: broker.url.replace("ws:", "http:"), logged };
}
