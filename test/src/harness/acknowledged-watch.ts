import type { Client } from "@millrace/client";
import type { BuriedMessage } from "./dead-letter-log.ts";
import type { AckedMessage } from "./keyed-load.ts";
import type { QueueDelivery, QueueHistory } from "./queue-history.ts";
import { pauseMs } from "./waiting.ts";

/** A start of a partition's log, as it was seen. */
interface SeenStart {
  readonly order: number;
  readonly partition: number;
  readonly logStartOffset: number;
}

/** Looks again and again where the partitions of a topic begin that keeps records until they are acknowledged. */
export class AcknowledgedWatch {
  readonly #client: Client;
  readonly #topic: string;
  readonly #history: QueueHistory;
  readonly #seen: SeenStart[] = [];
  readonly #running: Promise<void>;
  #isStopped = false;

  constructor(client: Client, topic: string, history: QueueHistory) {
    this.#client = client;
    this.#topic = topic;
    this.#history = history;
    this.#running = this.#look();
  }

  /** Moves that were seen. */
  get moves(): number {
    return this.#seen.length;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  /** Records that were gone from the log before the subscription had finished with them. */
  problems(
    subscription: string,
    published: readonly AckedMessage[],
    deadLetters: readonly BuriedMessage[],
  ): string[] {
    const finished = new Map<string, number>();
    for (const delivery of this.#history.deliveries) {
      const order = finishedOrder(delivery, this.#topic, subscription);
      const place = `${delivery.partition}@${delivery.offset}`;
      if (order !== undefined) finished.set(place, Math.min(order, finished.get(place) ?? order));
    }
    // When exactly they died is not known of all.
    for (const { origin } of deadLetters) finished.set(`${origin.partition}@${origin.offset}`, 0);
    return this.#seen.flatMap(({ order, partition, logStartOffset }) =>
      published
        .filter(({ ack }) => ack.partition === partition && ack.offset < logStartOffset)
        .filter(({ ack }) => (finished.get(`${partition}@${ack.offset}`) ?? order) >= order)
        .map(({ ack }) => `${partition}@${ack.offset} was dropped unfinished by ${subscription}`),
    );
  }

  async #look(): Promise<void> {
    const starts = new Map<number, number>();
    while (!this.#isStopped) {
      try {
        const { partitionInfo } = await this.#client.topics.describe(this.#topic);
        for (const { partition, logStartOffset } of partitionInfo) {
          if (starts.get(partition) === logStartOffset) continue;
          if (logStartOffset > 0) this.#seen.push({ order: this.#history.next(), partition, logStartOffset });
          starts.set(partition, logStartOffset);
        }
      } catch (error) {
        const { code } = error as { code?: string };
        if (code !== "CONNECTION_LOST" && code !== "SHARD_RESTARTED")
          this.#history.problems.push(String(error));
      }
      await pauseMs(50);
    }
  }
}

function finishedOrder(delivery: QueueDelivery, topic: string, subscription: string): number | undefined {
  if (delivery.topic !== topic || delivery.subscription !== subscription) return undefined;
  const { settling, settledOrder } = delivery;
  return settling === "ack" || settling === "dead" ? settledOrder : undefined;
}
