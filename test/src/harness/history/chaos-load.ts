import { join } from "node:path";
import type { Client } from "@millrace/client";
import type { Test } from "tap";
import { connectedClient } from "../connected-client.ts";
import type { SeededRandom } from "../seeded-random.ts";
import { until } from "../waiting.ts";
import { problemsOfHistory, sizeOfHistory } from "./check-history.ts";
import { HistoryWriter, readHistory } from "./history-file.ts";
import type { PublisherPlan, RolePlan } from "./load-plan.ts";
import { LoadProcess } from "./load-process.ts";

const PROBLEMS_SHOWN = 20;

/** Read by partition: a stream subscription and a follower. */
const EVENTS = "events";
const EVENT_PARTITIONS = 8;
/** Read by message: a queue and a keyed subscription. */
const JOBS = "jobs";
const JOB_PARTITIONS = 8;

/** Acknowledged before it is written: it may lose records, and must say so. */
const NOTES = "notes";
const NOTE_PARTITIONS = 4;

const TOPICS = [
  { topic: EVENTS, partitions: EVENT_PARTITIONS, durability: "fsynced" },
  { topic: JOBS, partitions: JOB_PARTITIONS, durability: "fsynced" },
  { topic: NOTES, partitions: NOTE_PARTITIONS, durability: "memory" },
] as const;

const SUBSCRIPTIONS = [
  { topic: EVENTS, subscription: "board", mode: "stream" },
  { topic: JOBS, subscription: "crew", mode: "queue" },
  { topic: JOBS, subscription: "tellers", mode: "keyed" },
] as const;

export interface ChaosLoadOptions {
  readonly random: SeededRandom;
  /** Where the broker is, whatever happens to it. */
  readonly url: string;
  /** For the histories. */
  readonly folder: string;
  /** Of each of the five publishers, on average. */
  readonly recordsPerSecond: number;
}

/**
 * A mixed load of several processes: publishers, with and without keys, a follower, members of a stream subscription, workers of a
 * queue and of a keyed subscription. Each process writes its own history; `check` reads them all.
 */
export class ChaosLoad {
  /** What was done to the broker is to be written down here. */
  readonly history: HistoryWriter;
  readonly #t: Test;
  readonly #options: ChaosLoadOptions;
  readonly #client: Client;
  readonly #paths: string[] = [];
  readonly #publishing: LoadProcess[] = [];
  readonly #consuming: LoadProcess[] = [];

  private constructor(t: Test, options: ChaosLoadOptions, client: Client) {
    this.#t = t;
    this.#options = options;
    this.#client = client;
    this.history = new HistoryWriter(this.#newPath("chaos"));
    t.teardown(() => this.history.close());
  }

  /** Makes topics and subscriptions, starts everybody; resolves when all are connected. */
  static async start(t: Test, options: ChaosLoadOptions): Promise<ChaosLoad> {
    const load = new ChaosLoad(t, options, await connectedClient(t, options.url));
    await load.#prepare();
    const consumers: RolePlan[] = [
      { role: "follower", name: "follower", topic: EVENTS },
      { role: "follower", name: "weak follower", topic: NOTES },
    ];
    for (const { topic, subscription, mode } of SUBSCRIPTIONS) {
      for (const i of [0, 1, 2]) {
        const common = { name: `${subscription}-${i}`, topic, subscription };
        if (mode === "stream") consumers.push({ role: "member", ...common });
        else consumers.push({ role: "worker", ...common, mode, concurrency: 1 + 7 * i });
      }
    }
    const { recordsPerSecond } = options;
    const publisher = (name: string, topic: string, keys: number): PublisherPlan => {
      const { partitions = 0 } = TOPICS.find((one) => one.topic === topic) ?? {};
      return { role: "publisher", name, topic, partitions, keys, recordsPerSecond, valueBytesMax: 100_000 };
    };
    const publishers = [
      publisher("p0", EVENTS, 0),
      publisher("p1", EVENTS, 20),
      publisher("p2", JOBS, 0),
      publisher("p3", JOBS, 20),
      publisher("p4", NOTES, 0),
    ];
    load.#consuming.push(await load.#process("consumers", consumers));
    load.#publishing.push(await load.#process("publishers", publishers));
    return load;
  }

  /** No more chaos: everything is answered and consumed, what is stored is read, and all processes end. */
  async finish(): Promise<void> {
    await Promise.all(this.#publishing.map((one) => one.settle()));
    await Promise.all(this.#consuming.map((one) => one.tame()));
    await until(async () => (await this.#lag()) === 0, "everything is consumed");
    await Promise.all(this.#consuming.map((one) => one.settle()));
    const reading = await this.#process("reader", [
      { role: "final-reader", name: "the log", topics: TOPICS.map(({ topic }) => topic) },
    ]);
    await reading.settle();
    for (const one of [reading, ...this.#publishing, ...this.#consuming]) await one.stop();
    this.history.flush();
  }

  check(t: Test): void {
    const events = readHistory(this.#paths);
    const problems = problemsOfHistory(events);
    t.same(problems.slice(0, PROBLEMS_SHOWN), [], `${problems.length} problems in ${sizeOfHistory(events)}`);
  }

  async #prepare(): Promise<void> {
    for (const { topic, partitions, durability } of TOPICS) {
      await this.#client.topics.create(topic, { partitions, durability });
      this.history.write({ what: "topic", topic, partitions, durability });
    }
    for (const { topic, subscription, mode } of SUBSCRIPTIONS) {
      const leases = { leaseMs: 5_000, maxDeliveries: 0, backoffMinMs: 10, backoffMaxMs: 100 };
      const settings = mode === "stream" ? { mode } : { mode, ...leases };
      await this.#client.subscriptions.create(topic, subscription, { ...settings, from: "earliest" });
      this.history.write({ what: "subscription", topic, subscription, mode });
    }
  }

  async #process(name: string, roles: readonly RolePlan[]): Promise<LoadProcess> {
    const { url, random } = this.#options;
    const plan = { url, path: this.#newPath(name), seed: random.uint32(), roles };
    return LoadProcess.start(this.#t, plan);
  }

  #newPath(name: string): string {
    const path = join(this.#options.folder, `${name}.jsonl`);
    this.#paths.push(path);
    return path;
  }

  /** Records that are not consumed; not finite while it is not known. */
  async #lag(): Promise<number> {
    let sum = 0;
    for (const { topic, subscription } of SUBSCRIPTIONS) {
      try {
        sum += (await this.#client.subscriptions.describe(topic, subscription)).lag;
      } catch (error) {
        if ((error as { retriable?: boolean }).retriable !== true) throw error;
        return Number.POSITIVE_INFINITY;
      }
    }
    return sum;
  }
}
