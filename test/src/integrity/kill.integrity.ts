import type { Client, Durability, Gap, ReceivedRecord } from "@millrace/client";
import t, { type Test } from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { type AckedRecord, type LoadProducer, PublishingLoad } from "../harness/publishing-load.ts";
import { readAll } from "../harness/reading.ts";
import { SeededRandom, seedOf } from "../harness/seeded-random.ts";
import { problemsOfLog } from "../harness/stored-log.ts";
import { TcpRelay } from "../harness/tcp-relay.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { TEST_TARGET } from "../harness/test-target.ts";
import { pauseMs, until } from "../harness/waiting.ts";

/** Rounds of load, kill -9 and comparison; MILLRACE_ROUNDS sets another number for a long run. */
const ROUNDS = Number(process.env.MILLRACE_ROUNDS ?? (TEST_TARGET === "process" ? 5 : 3));
const PROBLEMS_SHOWN = 10;

interface LoadedTopic {
  readonly name: string;
  readonly durability: Durability;
  readonly partitions: number;
  readonly valueBytesMax: number;
  readonly producers: number;
}

const TOPICS: readonly LoadedTopic[] = [
  { name: "wide", durability: "fsynced", partitions: 4, valueBytesMax: 20_000, producers: 2 },
  { name: "single", durability: "fsynced", partitions: 1, valueBytesMax: 400_000, producers: 2 },
  { name: "written", durability: "written", partitions: 2, valueBytesMax: 20_000, producers: 1 },
  { name: "memory", durability: "memory", partitions: 2, valueBytesMax: 20_000, producers: 1 },
];

t.test("kill -9 at random moments loses nothing that was acknowledged", async (t) => {
  const random = new SeededRandom(seedOf(t));
  const dataDir = temporaryFolder(t);
  let broker = await BrokerProcess.start(t, { dataDir, args: ["--shards", "3"] });
  const relay = await TcpRelay.start(t, broker.port);
  const clients = await Promise.all([0, 1, 2].map(() => connectedClient(t, relay.url)));
  const [first, second, third] = clients as [Client, Client, Client];
  for (const { name, durability, partitions } of TOPICS)
    await first.topics.create(name, { durability, partitions });
  const load = new PublishingLoad(producersOf(clients), random);
  const follower = new Follower(third, "wide");
  const catalog = new CatalogLoad(second);

  for (let round = 1; round <= ROUNDS; round += 1) {
    load.run();
    const changing = catalog.change(round);
    await pauseMs(random.between(50, 900));
    await broker.kill();
    // Recovery may be killed as well, at any of its points.
    for (let again = random.below(2); again > 0; again -= 1) await killWhileStarting(t, dataDir, random);
    broker = await BrokerProcess.start(t, { dataDir });
    relay.targetPort = broker.port;
    await load.settle();
    await changing;
    await compare(t, broker, load, `round ${round}`);
    await catalog.compare(t, broker);
  }

  t.same(load.failed.slice(0, PROBLEMS_SHOWN), [], "every record found its way in the end");
  const wide = load.acked.filter(({ ack }) => ack.topic === "wide");
  await until(() => follower.records.length >= wide.length, "the follower has everything");
  t.same(
    problemsOfLog(follower.records, wide, follower.gaps, { isComplete: true }).slice(0, PROBLEMS_SHOWN),
    [],
    "a consumer that was there all the time has read each record once",
  );
  t.comment(`${load.acked.length} records acknowledged in ${ROUNDS} rounds`);
});

function producersOf(clients: readonly Client[]): LoadProducer[] {
  return TOPICS.flatMap(({ name, partitions, valueBytesMax, producers }) =>
    Array.from({ length: producers }, (_, i) => ({
      name: `${name}-${i}`,
      client: clients[i] as Client,
      topic: name,
      partitions,
      valueBytesMax,
    })),
  );
}

async function killWhileStarting(t: Test, dataDir: string, random: SeededRandom): Promise<void> {
  const starting = BrokerProcess.launch(t, { dataDir });
  await pauseMs(random.between(100, 700));
  await starting.kill("SIGKILL");
}

/** Reads every topic and compares it with all acks so far; nothing is under way meanwhile. */
async function compare(t: Test, broker: BrokerProcess, load: PublishingLoad, when: string): Promise<void> {
  const client = await connectedClient(t, broker.url);
  for (const { name, durability } of TOPICS) {
    const acked = load.acked.filter(({ ack }) => ack.topic === name);
    const gaps: Gap[] = [];
    const records = await readAll(client, name, { onGap: (gap) => gaps.push(gap) });
    // The page cache survives a process, so what was `written` is there too; offsets may leave a block out.
    const problems = problemsOfLog(records, acked, gaps, { isComplete: durability === "fsynced" });
    if (durability === "written") problems.push(...missing(records, acked));
    t.same(problems.slice(0, PROBLEMS_SHOWN), [], `${when}, ${name}: ${records.length} records`);
    t.ok(durability === "memory" || records.length === acked.length, "and not one more");
  }
  await client.close();
}

function missing(records: readonly ReceivedRecord[], acked: readonly AckedRecord[]): string[] {
  const places = new Set(records.map(({ partition, offset }) => `${partition}/${offset}`));
  return acked
    .filter(({ ack }) => !places.has(`${ack.partition}/${ack.offset}`))
    .map(({ producer, sequence }) => `${producer}:${sequence} was acknowledged and is not there`);
}

/** A consumer that lives through all rounds. */
class Follower {
  readonly records: ReceivedRecord[] = [];
  readonly gaps: Gap[] = [];

  constructor(client: Client, topic: string) {
    void this.#follow(client, topic);
  }

  async #follow(client: Client, topic: string): Promise<void> {
    const onGap = (gap: Gap): void => void this.gaps.push(gap);
    for await (const record of client.subscribe(topic, { from: "earliest", onGap }))
      this.records.push(record);
  }
}

/** Topics that are made and deleted while the broker is killed. */
class CatalogLoad {
  readonly #client: Client;
  /** Acknowledged: true = there, false = gone. A change without an answer may be either, and is not listed. */
  readonly #known: Map<string, boolean> = new Map();

  constructor(client: Client) {
    this.#client = client;
  }

  async change(round: number): Promise<void> {
    const { topics } = this.#client;
    for (let i = 0; i < 20; i += 1) {
      const name = `extra-${round}-${i}`;
      await this.#do(name, true, topics.create(name, { partitions: 3 }));
      if (i % 2 === 1) await this.#do(name, false, topics.delete(name));
      await pauseMs(10);
    }
  }

  async compare(t: Test, broker: BrokerProcess): Promise<void> {
    const client = await connectedClient(t, broker.url);
    const there = new Set((await client.topics.list()).map(({ name }) => name));
    const wrong = [...this.#known].filter(([name, isThere]) => there.has(name) !== isThere);
    t.same(wrong, [], `${this.#known.size} acknowledged creations and deletions`);
    const some = [...this.#known].filter(([, isThere]) => isThere).slice(-3);
    for (const [name] of some) await client.producer(name).send({ value: "it works" });
    await client.close();
  }

  async #do(name: string, isThere: boolean, change: Promise<unknown>): Promise<void> {
    try {
      await change;
      this.#known.set(name, isThere);
    } catch (error) {
      // The change may have happened or not; a deletion of what was never made says UNKNOWN_TOPIC.
      this.#known.delete(name);
      const { code } = error as { code?: string };
      if (code !== "CONNECTION_LOST" && code !== "UNKNOWN_TOPIC") throw error;
    }
  }
}
