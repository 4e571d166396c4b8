import type { Client } from "@millrace/client";
import type { Test } from "tap";
import { AcknowledgedWatch } from "./acknowledged-watch.ts";
import { readDeadLetters } from "./dead-letter-log.ts";
import { KeyedLoad, nameOfMessage } from "./keyed-load.ts";
import { problemsOfQueue } from "./queue-checks.ts";
import { DELIVERIES_MAX, LEASE_MS, QueueConsumer, subscriptionConfig } from "./queue-consumer.ts";
import { QueueHistory } from "./queue-history.ts";
import { readAll } from "./reading.ts";
import { SdkQueueConsumer } from "./sdk-queue-consumer.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { StreamWatch } from "./stream-watch.ts";
import { pauseMs, until } from "./waiting.ts";

const PROBLEMS_SHOWN = 10;
/** Keeps everything, and is read in all modes at once. */
const WORK = "work";
const WORK_PARTITIONS = 16;
/** Keeps until acknowledged. */
const KEPT = "kept";
const KEPT_PARTITIONS = 4;
const STREAM = "readers";

interface ScenarioQueue {
  readonly topic: string;
  readonly subscription: string;
  readonly mode: "queue" | "keyed";
  /** Of its raw consumers, one each. */
  readonly slots: readonly number[];
}

const QUEUES: readonly ScenarioQueue[] = [
  { topic: WORK, subscription: "crew", mode: "queue", slots: [1, 10, 60] },
  { topic: WORK, subscription: "tellers", mode: "keyed", slots: [1, 10, 60] },
  { topic: KEPT, subscription: "packers", mode: "queue", slots: [30] },
  { topic: KEPT, subscription: "clerks", mode: "keyed", slots: [30] },
];

export interface ScenarioOptions {
  readonly random: SeededRandom;
  /** Where the broker is now. */
  readonly url: () => string;
  /** Clients that find the broker again wherever it is: one that publishes and looks, one that consumes. */
  readonly clients: readonly [Client, Client];
  /** Of the history, to begin with. */
  readonly life?: number | undefined;
}

/**
 * Publishers, and consumers of five subscriptions on two topics that behave in every way there is, while somebody else sees to
 * it that the broker fails. What they wrote down is checked in the end.
 */
export class QueueScenario {
  readonly history: QueueHistory = new QueueHistory();
  readonly #clients: readonly [Client, Client];
  readonly #loads: ReadonlyMap<string, KeyedLoad>;
  readonly #consumers: readonly (QueueConsumer | SdkQueueConsumer)[];
  readonly #stream: StreamWatch;
  readonly #kept: AcknowledgedWatch;

  private constructor(t: Test, { random, url, clients, life = 0 }: ScenarioOptions) {
    this.#clients = clients;
    const [client, consuming] = clients;
    const { history } = this;
    history.life = life;
    this.#loads = new Map([
      [WORK, new KeyedLoad(client, WORK, names(40), 16, random)],
      [KEPT, new KeyedLoad(client, KEPT, names(20), 6, random)],
    ]);
    this.#consumers = QUEUES.flatMap(({ slots, ...queue }) => {
      const common = { ...queue, random, history, isPoison };
      const name = (kind: string): string => `${queue.subscription}-${kind}`;
      return [
        ...slots.map(
          (count) => new QueueConsumer(t, { ...common, url, name: name(`${count}`), slots: count }),
        ),
        new SdkQueueConsumer(consuming, { ...common, name: name("sdk"), slots: 8 }),
      ];
    });
    this.#stream = new StreamWatch(t, { url, topic: WORK, subscription: STREAM, members: 3, random });
    this.#kept = new AcknowledgedWatch(client, KEPT, history);
  }

  static async start(t: Test, options: ScenarioOptions): Promise<QueueScenario> {
    const [client] = options.clients;
    await client.topics.create(WORK, { partitions: WORK_PARTITIONS });
    await client.topics.create(KEPT, { partitions: KEPT_PARTITIONS, retention: "acknowledged" });
    for (const { topic, subscription, mode } of QUEUES) {
      const { from: _, ...config } = subscriptionConfig(mode);
      await client.subscriptions.create(topic, subscription, { mode, from: "earliest", ...config });
    }
    await client.subscriptions.create(WORK, STREAM, { mode: "stream", from: "earliest" });
    const scenario = new QueueScenario(t, options);
    t.teardown(() => scenario.#stop());
    for (const load of scenario.#loads.values()) void load.run();
    return scenario;
  }

  /** No more publishes, and all consumers do their best until there is nothing left to do. */
  async finish(): Promise<void> {
    const [client] = this.#clients;
    for (const load of this.#loads.values()) await load.settle();
    for (const consumer of this.#consumers) consumer.tame();
    this.#stream.tame();
    await until(async () => (await this.#lag(client)) === 0, "everything is finished");
  }

  /** Once more, after a last failure: nothing of it comes again. Then everybody stops. */
  async stayFinished(t: Test): Promise<void> {
    const [client] = this.#clients;
    const { length } = this.history.deliveries;
    const { deliveries } = this.#stream;
    t.equal(await this.#lag(client), 0, "what was finished is finished");
    await pauseMs(300);
    t.equal(this.history.deliveries.length, length, "nothing comes again");
    t.equal(this.#stream.deliveries, deliveries, "not in the stream either");
    const isDropped = async (): Promise<boolean> => {
      const { partitionInfo } = await client.topics.describe(KEPT);
      return partitionInfo.every(({ logStartOffset, highWatermark }) => logStartOffset === highWatermark);
    };
    await until(isDropped, "nothing that is finished is kept");
    await this.#stop();
  }

  async #stop(): Promise<void> {
    await Promise.all(this.#consumers.map((consumer) => consumer.stop()));
    await this.#stream.stop();
    await this.#kept.stop();
  }

  async check(t: Test, what: string): Promise<void> {
    t.comment(what);
    const [client] = this.#clients;
    t.same(this.history.problems.slice(0, PROBLEMS_SHOWN), [], "consumers noticed nothing odd");
    for (const [topic, { failed, acked }] of this.#loads)
      t.same(failed.slice(0, PROBLEMS_SHOWN), [], `${topic}: all of ${acked.length} were published`);
    for (const { topic, subscription, mode } of QUEUES) {
      const all = (await readDeadLetters(client, topic)).filter((one) => one.subscription === subscription);
      const deliveries = this.history.deliveries.filter(
        (one) => one.topic === topic && one.subscription === subscription,
      );
      const published = this.#loads.get(topic)?.acked ?? [];
      const problems = problemsOfQueue({
        mode,
        maxDeliveries: DELIVERIES_MAX,
        deliveries,
        published,
        deadLetters: all,
        toleranceMs: LEASE_MS / 2,
      });
      if (topic === KEPT) problems.push(...this.#kept.problems(subscription, published, all));
      t.same(
        problems.slice(0, PROBLEMS_SHOWN),
        [],
        `${topic}/${subscription}: ${deliveries.length} deliveries, ${all.length} dead`,
      );
    }
    t.ok(this.#kept.moves > 0, `the start of ${KEPT} was seen to move ${this.#kept.moves} times`);
    await this.#checkStream(t, client);
  }

  async #checkStream(t: Test, client: Client): Promise<void> {
    const records = await readAll(client, WORK);
    const problems = [...this.#stream.problems];
    for (const { partition, offset, value } of records) {
      const place = `${partition}@${offset}`;
      const expected = Buffer.from(value as Uint8Array).toString();
      const seen = this.#stream.values.get(place);
      if (seen !== expected) problems.push(`${place} is ${expected}, the stream had ${seen}`);
    }
    const what = `${records.length} records, ${this.#stream.deliveries} deliveries`;
    t.same(problems.slice(0, PROBLEMS_SHOWN), [], `${WORK}/${STREAM}: ${what}`);
    const published = this.#loads.get(WORK)?.acked.length;
    t.equal(records.length, published, "each publish is stored once");
  }

  /** Of all subscriptions; positive while it is not known. */
  async #lag(client: Client): Promise<number> {
    let sum = 0;
    const all = [...QUEUES, { topic: WORK, subscription: STREAM }];
    for (const { topic, subscription } of all) {
      try {
        sum += (await client.subscriptions.describe(topic, subscription)).lag;
      } catch (error) {
        const { code } = error as { code?: string };
        if (code !== "CONNECTION_LOST" && code !== "SHARD_RESTARTED") throw error;
        return Number.POSITIVE_INFINITY;
      }
    }
    return sum;
  }
}

function names(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `key-${i}`);
}

function isPoison(value: string): boolean {
  return nameOfMessage(value).sequence % 50 === 49;
}
