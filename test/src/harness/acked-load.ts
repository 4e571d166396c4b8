import type { Client } from "@millrace/client";
import type { Test } from "tap";
import { connectedClient } from "./connected-client.ts";
import { PlayedSupervisor } from "./played-supervisor.ts";
import { readAll } from "./reading.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { pauseMs, until } from "./waiting.ts";

/** Publishes on and on to all partitions, one record at a time to each, until stopped. */
export class AckedLoad {
  /** What was acknowledged: value by partition and offset. */
  readonly acked: Map<string, number> = new Map();
  readonly errors: string[] = [];
  readonly #loops: Promise<void>[];
  #stopped = false;

  constructor(client: Client, topic: string, partitions: number, who: number) {
    const producer = client.producer(topic, { lingerMs: 0 });
    this.#loops = Array.from({ length: partitions }, async (_, partition) => {
      for (let n = 0; !this.#stopped; n += 1) {
        const value = who * 1_000_000 + n;
        try {
          const { offset } = await producer.send({ partition, value });
          this.acked.set(`${partition}/${offset}`, value);
          // The machine has other things to do, too.
          await pauseMs(5);
        } catch (error) {
          if (this.errors.length > 1_000) return;
          this.errors.push(String((error as { code?: string }).code));
        }
      }
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }
}

const PARTITIONS = 4;

export interface LoadedCluster {
  readonly cluster: PlayedSupervisor;
  /** One at each node. */
  readonly clients: readonly Client[];
  /** Of each client. */
  readonly loads: readonly AckedLoad[];
}

/** So many nodes, a client at each, and load from all of them on the topic "load". */
export async function startLoadedCluster(t: Test, nodes: number, shards: number): Promise<LoadedCluster> {
  const cluster = await PlayedSupervisor.start(t, temporaryFolder(t), nodes, shards);
  const clients = await Promise.all(
    [...cluster.nodes.keys()].map((id) => connectedClient(t, cluster.url(id))),
  );
  await clients[0]?.topics.create("load", { partitions: PARTITIONS });
  const loads = clients.map((client, who) => new AckedLoad(client, "load", PARTITIONS, who));
  return { cluster, clients, loads };
}

/** Everybody gets on. */
export async function goesOn(loads: readonly AckedLoad[]): Promise<void> {
  const before = loads.map(({ acked }) => acked.size);
  await until(
    () => loads.every(({ acked }, i) => acked.size > (before[i] as number) + 4),
    "more is acknowledged",
  );
}

export async function checkAcked(
  t: Test,
  clients: readonly Client[],
  loads: readonly AckedLoad[],
): Promise<void> {
  for (const load of loads) await load.stop();
  t.same(
    loads.flatMap(({ errors }) => errors),
    [],
    "nobody has heard of it",
  );
  for (const client of clients) {
    const records = new Map(
      (await readAll(client, "load")).map(({ partition, offset, value }) => [
        `${partition}/${offset}`,
        value,
      ]),
    );
    let wrong = 0;
    for (const { acked } of loads) {
      for (const [place, value] of acked) if (records.get(place) !== value) wrong += 1;
    }
    t.equal(wrong, 0, "every record is where its acknowledgement says");
  }
}
