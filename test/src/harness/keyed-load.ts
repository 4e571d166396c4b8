import type { Client, Producer, PublishResult } from "@millrace/client";
import type { SeededRandom } from "./seeded-random.ts";
import { inTime, pauseMs } from "./waiting.ts";

/** A record that was acknowledged. */
export interface AckedMessage {
  readonly key: string | undefined;
  /** Counts the messages of the key. */
  readonly sequence: number;
  readonly value: string;
  readonly ack: PublishResult;
}

/** Key and number of a value that `KeyedLoad` has made. */
export function nameOfMessage(value: string): { key: string | undefined; sequence: number } {
  const [key = "", sequence = ""] = value.split("#");
  return { key: key === "" ? undefined : key, sequence: Number(sequence) };
}

/** Publishes messages `key#sequence` of some keys, and some without any, at a moderate pace. Values are bytes. */
export class KeyedLoad {
  readonly #producer: Producer;
  readonly #keys: readonly string[];
  readonly #random: SeededRandom;
  readonly #perTick: number;
  readonly #sequences: Map<string, number> = new Map();
  readonly acked: AckedMessage[] = [];
  readonly failed: string[] = [];
  readonly #sending: Set<Promise<void>> = new Set();
  #isRunning = false;

  constructor(client: Client, topic: string, keys: readonly string[], perTick: number, random: SeededRandom) {
    this.#producer = client.producer(topic, { retryBackoffMs: 5, retryBackoffMaxMs: 50 });
    this.#keys = keys;
    this.#perTick = perTick;
    this.#random = random;
  }

  async run(): Promise<void> {
    this.#isRunning = true;
    while (this.#isRunning) {
      // What a broker that is down leaves waiting does not grow for ever.
      for (let n = this.#random.below(this.#perTick + 1); n > 0 && this.#sending.size < 500; n -= 1) {
        const sending = this.#send();
        this.#sending.add(sending);
        void sending.then(() => this.#sending.delete(sending));
      }
      await pauseMs(10);
    }
  }

  /** Nothing more; resolves when all of it is answered. */
  async settle(): Promise<void> {
    this.#isRunning = false;
    await inTime(Promise.all(this.#sending), "every message that was sent to be answered");
  }

  async #send(): Promise<void> {
    const random = this.#random;
    const key = random.below(8) === 0 ? undefined : random.pick(this.#keys);
    const sequence = this.#sequences.get(key ?? "") ?? 0;
    this.#sequences.set(key ?? "", sequence + 1);
    const value = `${key ?? ""}#${sequence}`;
    try {
      const ack = await this.#producer.send({ key, value: Buffer.from(value) });
      this.acked.push({ key, sequence, value, ack });
    } catch (error) {
      this.failed.push(`${value} ${(error as { code?: string }).code ?? String(error)}`);
    }
  }
}
