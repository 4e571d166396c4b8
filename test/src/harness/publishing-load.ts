import type { Client, Producer, PublishResult } from "@millrace/client";
import { wallMs } from "./clock.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { recordValue } from "./test-records.ts";
import { inTime } from "./waiting.ts";

/** One producer of a load, and what it publishes. */
export interface LoadProducer {
  /** Unique; part of every value. */
  readonly name: string;
  readonly client: Client;
  readonly topic: string;
  readonly partitions: number;
  /** Values have up to so many bytes. */
  readonly valueBytesMax: number;
  /** And at least so many; without it most of them are small, and some fill frames. */
  readonly valueBytesMin?: number | undefined;
}

/** A record that was acknowledged. */
export interface AckedRecord {
  readonly producer: string;
  readonly sequence: number;
  readonly bytes: number;
  /** ms since the epoch: it was stored then or later. */
  readonly sentMs: number;
  readonly ack: PublishResult;
}

interface RunningProducer extends LoadProducer {
  readonly producer: Producer;
  sequence: number;
}

const IN_FLIGHT_MAX = 300;

/**
 * Producers that publish as fast as their acks come, until they are paused. What was acknowledged is remembered; each
 * value can be made again from its producer's name, its number and its length.
 */
export class PublishingLoad {
  readonly #producers: readonly RunningProducer[];
  readonly #random: SeededRandom;
  /** Every ack of every topic, in the order of arrival. */
  readonly acked: AckedRecord[] = [];
  /** What failed for good, as `producer:sequence CODE`. */
  readonly failed: string[] = [];
  #running: Promise<void>[] = [];
  #isPaused = true;

  constructor(producers: readonly LoadProducer[], random: SeededRandom) {
    this.#random = random;
    this.#producers = producers.map((one) => ({
      ...one,
      producer: one.client.producer(one.topic, {
        batchBytes: 16_384,
        retryBackoffMs: 5,
        retryBackoffMaxMs: 50,
      }),
      sequence: 0,
    }));
  }

  /** Starts, or goes on after a pause. */
  run(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#running = this.#producers.map((one) => this.#publish(one));
  }

  /** No new records; resolves when each that was sent is acknowledged or has failed. */
  async settle(): Promise<void> {
    this.#isPaused = true;
    await inTime(Promise.all(this.#running), "every record that was sent to be answered");
    this.#running = [];
  }

  async #publish(one: RunningProducer): Promise<void> {
    let inFlight = 0;
    let wake: (() => void) | undefined;
    const answered = (): Promise<void> =>
      new Promise((resolve) => {
        wake = resolve;
      });
    const settled = (): void => {
      inFlight -= 1;
      wake?.();
    };
    while (!this.#isPaused) {
      for (let burst = this.#random.between(1, 50); burst > 0 && inFlight < IN_FLIGHT_MAX; burst -= 1) {
        inFlight += 1;
        void this.#send(one).then(settled);
      }
      // A turn of the event loop, in which acks come in; when too much is under way, until there is one.
      if (inFlight < IN_FLIGHT_MAX) await new Promise(setImmediate);
      else await answered();
    }
    while (inFlight > 0) await answered();
  }

  async #send(one: RunningProducer): Promise<void> {
    const random = this.#random;
    const { name, sequence } = one;
    one.sequence += 1;
    const bytes = valueBytes(one, random);
    const value = recordValue(name, sequence, bytes);
    const partition = random.below(one.partitions);
    const sentMs = wallMs();
    try {
      const ack = await one.producer.send({ value, partition });
      this.acked.push({ producer: name, sequence, bytes: value.length, sentMs, ack });
    } catch (error) {
      this.failed.push(`${name}:${sequence} ${(error as { code?: string }).code ?? String(error)}`);
    }
  }
}

function valueBytes({ valueBytesMin, valueBytesMax }: LoadProducer, random: SeededRandom): number {
  if (valueBytesMin !== undefined) return random.between(valueBytesMin, valueBytesMax);
  return random.below(50) === 0 ? random.below(valueBytesMax) : random.below(200);
}
