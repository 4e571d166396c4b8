import type { Subscription } from "@millrace/client";
import { until } from "../waiting.ts";
import { contentOf } from "./load-record.ts";
import type { LoadRole, RoleContext } from "./load-role.ts";

export interface FollowerOptions {
  readonly name: string;
  readonly topic: string;
  /** It ends where the log ends when it begins; what it read is the truth. */
  readonly isFinal: boolean;
}

/** Reads a topic from its beginning, and writes down what it was given. */
export class Follower implements LoadRole {
  readonly #options: FollowerOptions;
  readonly #context: RoleContext;
  readonly #subscription: Subscription;
  /** Where the next record of each partition is that it has begun with. */
  readonly #next: Map<number, number> = new Map();
  readonly #reading: Promise<void>;
  #isStopped = false;

  constructor(options: FollowerOptions, context: RoleContext) {
    const { name, topic, isFinal } = options;
    this.#options = options;
    this.#context = context;
    this.#subscription = context.client.subscribe(topic, {
      from: "earliest",
      untilEnd: isFinal,
      onGap: ({ partition, fromOffset, toOffset, reason }) => {
        this.#start(partition);
        this.#next.set(partition, toOffset);
        const gap = { topic, partition, fromOffset, toOffset, reason };
        context.history.write({ what: "gap", reader: name, ...gap });
      },
    });
    this.#reading = this.#read();
  }

  async settle(): Promise<void> {
    const { topic, isFinal } = this.#options;
    if (isFinal) return this.#reading;
    const { partitionInfo } = await this.#context.client.topics.describe(topic);
    const isBehind = (): boolean =>
      partitionInfo.some(({ partition, highWatermark }) => (this.#next.get(partition) ?? 0) < highWatermark);
    await until(() => !isBehind() || this.#isStopped, `${this.#options.name} has read everything`);
  }

  tame(): void {}

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#subscription.close();
    await this.#reading;
  }

  async #read(): Promise<void> {
    const { name, topic } = this.#options;
    const { history } = this.#context;
    try {
      for await (const { partition, offset, key, value } of this.#subscription) {
        this.#start(partition);
        history.write({ what: "read", reader: name, topic, partition, offset, ...contentOf(key, value) });
        this.#next.set(partition, offset + 1);
      }
    } catch (error) {
      if (!this.#isStopped) history.write({ what: "problem", text: `${name} ended: ${String(error)}` });
    }
  }

  #start(partition: number): void {
    if (this.#next.has(partition)) return;
    this.#next.set(partition, 0);
    const { name, topic, isFinal } = this.#options;
    const place = { topic, partition, offset: 0 };
    this.#context.history.write({ what: "start", reader: name, subscription: null, isFinal, ...place });
  }
}
