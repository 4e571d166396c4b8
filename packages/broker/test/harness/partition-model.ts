import assert from "node:assert/strict";
import { DURABILITY_FSYNCED, DURABILITY_WRITTEN } from "../../src/topic.ts";

/**
 * How a shard came to its end, the gentlest first. `synced`: everything was durable, but nothing says that the stop was
 * clean.
 */
export type StopKind = "clean" | "synced" | "process" | "power";

interface Known {
  readonly value: string;
  /** In which the record was acked or shown. */
  readonly logEpoch: number;
}

/** What a whole read of a partition found. */
export interface PartitionImage {
  readonly records: ReadonlyMap<number, string>;
  readonly highWatermark: number;
  readonly logEpoch: number;
}

/**
 * What the world knows of one partition: a plain map from offsets to the records that somebody was told of. It also knows
 * everything that was ever published there.
 */
export class PartitionModel {
  readonly topicId: number;
  readonly partition: number;
  readonly durability: number;
  logEpoch = 0;
  /** Producers that had to begin a new epoch because weakly durable records were lost: their retries may be stored twice. */
  resets = 0;
  readonly #known: Map<number, Known> = new Map();
  readonly #published: Set<string> = new Set();

  constructor(topicId: number, partition: number, durability: number) {
    this.topicId = topicId;
    this.partition = partition;
    this.durability = durability;
  }

  get isFsynced(): boolean {
    return this.durability === DURABILITY_FSYNCED;
  }

  get knownRecords(): number {
    return this.#known.size;
  }

  published(values: readonly string[]): void {
    for (const value of values) this.#published.add(value);
  }

  /** Somebody was told, by an ack or a delivery, that this record has this offset. */
  learn(offset: number, value: string): void {
    assert.ok(this.#published.has(value), `${this} offset ${offset}: ${value} was never published`);
    const known = this.#known.get(offset);
    if (known !== undefined) {
      assert.equal(value, known.value, `${this} offset ${offset} has another record than before`);
      return;
    }
    this.#known.set(offset, { value, logEpoch: this.logEpoch });
  }

  /** Compares what a restarted shard has with what it must have. */
  verify(image: PartitionImage, stop: StopKind): void {
    const { records, highWatermark, logEpoch } = image;
    assert.ok(logEpoch >= this.logEpoch, `${this}: the log epoch went back`);
    if (this.isFsynced || stop === "clean") {
      assert.equal(logEpoch, this.logEpoch, `${this}: the log epoch was raised for nothing`);
    }
    if (this.isFsynced) assert.equal(records.size, highWatermark, `${this}: offsets are not contiguous`);
    for (const [offset, { value, logEpoch: epochThen }] of this.#known) {
      const found = records.get(offset);
      if (found !== undefined) {
        assert.equal(found, value, `${this} offset ${offset} has another record than before`);
        continue;
      }
      assert.ok(
        !this.#survives(stop) || epochThen < this.logEpoch,
        `${this} offset ${offset} is lost: ${value} after a ${stop} stop`,
      );
      assert.ok(
        logEpoch > epochThen,
        `${this} offset ${offset} is lost, and the log epoch is still ${logEpoch}`,
      );
    }
    const values = new Set<string>();
    for (const [offset, value] of records) {
      assert.ok(this.#published.has(value), `${this} offset ${offset}: ${value} was never published`);
      assert.ok(this.resets > 0 || !values.has(value), `${this} offset ${offset}: ${value} is stored twice`);
      values.add(value);
    }
  }

  /** From now on what was found is what is known. */
  adopt({ records, logEpoch }: PartitionImage): void {
    this.logEpoch = logEpoch;
    for (const [offset, value] of records) this.#known.set(offset, { value, logEpoch });
  }

  toString(): string {
    return `${this.topicId}/${this.partition}`;
  }

  /** Whether what was acked or shown is there after such a stop. */
  #survives(stop: StopKind): boolean {
    if (stop === "clean" || stop === "synced" || this.isFsynced) return true;
    return stop === "process" && this.durability === DURABILITY_WRITTEN;
  }
}
