import assert from "node:assert/strict";
import { DURABILITY_FSYNCED, DURABILITY_MEMORY, DURABILITY_WRITTEN } from "../../src/topic.ts";

/**
 * How a shard came to its end, the gentlest first. `synced`: everything was durable, but nothing says that the stop was
 * clean.
 */
export type StopKind = "clean" | "synced" | "process" | "power";

interface Known {
  readonly value: string;
  /** In which the record was acked or shown. */
  readonly logEpoch: number;
  /** As the strongest ack has it; of a record that was only shown, the weakest that its topic has had. */
  readonly durability: number;
}

/** A clock that knows its own past. */
export interface ModelClock {
  wallMs(): number;
  readonly latestWallMs: number;
  readonly setBackMs: number;
}

/** Of the topic; 0 = no bound. */
export interface ModelSettings {
  readonly durability: number;
  readonly retentionMs: number;
  readonly retentionBytes: number;
}

/** What a whole read of a partition found. */
export interface PartitionImage {
  readonly records: ReadonlyMap<number, string>;
  readonly highWatermark: number;
  readonly logEpoch: number;
  readonly logStartOffset: number;
}

/**
 * What the world knows of one partition: a plain map from offsets to the records that somebody was told of. It also knows
 * everything that was ever published there.
 */
export class PartitionModel {
  readonly topicId: number;
  readonly partition: number;
  /** All that the topic was ever asked to have. */
  readonly #durabilities: Set<number>;
  logEpoch = 0;
  /** Where the log starts at least: somebody was told so. */
  logStartOffset = 0;
  /** Starts that were asked for, and neither answered nor refused. */
  readonly #startsAsked: number[] = [];
  /** Producers that had to begin a new epoch because weakly durable records were lost: their retries may be stored twice. */
  resets = 0;
  readonly #known: Map<number, Known> = new Map();
  readonly #published: Map<string, number> = new Map();
  readonly #retentionMs: number;
  readonly #clock: ModelClock;
  /** The oldest records may go before their time: the topic has a bound of bytes, or somebody has asked for space. */
  mayDropAny: boolean;

  constructor(
    topicId: number,
    partition: number,
    { durability, retentionMs, retentionBytes }: ModelSettings,
    clock: ModelClock,
  ) {
    this.topicId = topicId;
    this.partition = partition;
    this.#durabilities = new Set([durability]);
    this.#retentionMs = retentionMs;
    this.mayDropAny = retentionBytes > 0;
    this.#clock = clock;
  }

  /** Whether it always was, so that nothing may be missing. */
  get isFsynced(): boolean {
    return this.#weakest === DURABILITY_FSYNCED;
  }

  get #weakest(): number {
    return Math.min(...this.#durabilities);
  }

  /** Somebody asks for another durability, and may get it. */
  mayBecome(durability: number): void {
    this.#durabilities.add(durability);
  }

  mayState(durability: number): boolean {
    return this.#durabilities.has(durability);
  }

  /** Somebody asks for the records below `offset` to be given up. */
  mayStartAt(offset: number): void {
    this.#startsAsked.push(offset);
  }

  /** The answer: it starts at `found` now, undefined when `asked` was refused. */
  startsAt(asked: number, found: number | undefined): void {
    this.#startsAsked.splice(this.#startsAsked.indexOf(asked), 1);
    if (found === undefined) return;
    assert.ok(found >= asked, `${this} starts at ${found}, not at ${asked}`);
    this.checkStart(found, asked);
    this.logStartOffset = found;
  }

  /** Whether one request alone, and neither one before it nor retention, explains that the log starts there. */
  onlyAskedOnce(offset: number): boolean {
    if (offset <= this.logStartOffset || this.#mayDropBelow(offset)) return false;
    return this.#startsAsked.filter((asked) => asked === offset).length === 1;
  }

  /** A start that somebody is told of was asked for, and never goes back. */
  checkStart(found: number, asked?: number): void {
    assert.ok(found >= this.logStartOffset, `${this}: the start went back to ${found}`);
    const known = found === this.logStartOffset || found === asked || this.#startsAsked.includes(found);
    assert.ok(known || this.#mayDropBelow(found), `${this} starts at ${found}, which nobody asked for`);
  }

  /** Whether retention explains that the records below `offset` are gone. */
  #mayDropBelow(offset: number): boolean {
    if (this.mayDropAny) return true;
    if (this.#retentionMs === 0) return false;
    const { latestWallMs, setBackMs } = this.#clock;
    for (const [at, { value }] of this.#known) {
      if (at < this.logStartOffset || at >= offset) continue;
      // It was appended later than published, unless the clock went back in between.
      const ageMs = latestWallMs + setBackMs - (this.#published.get(value) ?? 0);
      if (ageMs <= this.#retentionMs) return false;
    }
    return true;
  }

  get knownRecords(): number {
    return this.#known.size;
  }

  published(values: readonly string[]): void {
    for (const value of values) this.#published.set(value, this.#clock.wallMs());
  }

  /** Somebody was told, by an ack or a delivery, that this record has this offset. */
  learn(offset: number, value: string, durability: number = this.#weakest): void {
    assert.ok(this.#published.has(value), `${this} offset ${offset}: ${value} was never published`);
    const known = this.#known.get(offset);
    if (known !== undefined) {
      assert.equal(value, known.value, `${this} offset ${offset} has another record than before`);
      if (durability <= known.durability) return;
    }
    this.#known.set(offset, { value, logEpoch: known?.logEpoch ?? this.logEpoch, durability });
  }

  /** Compares what a restarted shard has with what it must have. */
  verify(image: PartitionImage, stop: StopKind): void {
    const { records, highWatermark, logEpoch, logStartOffset } = image;
    assert.ok(logEpoch >= this.logEpoch, `${this}: the log epoch went back`);
    if (this.isFsynced || stop === "clean") {
      assert.equal(logEpoch, this.logEpoch, `${this}: the log epoch was raised for nothing`);
    }
    this.checkStart(logStartOffset);
    for (let offset = logStartOffset; this.isFsynced && offset < highWatermark; offset += 1) {
      assert.ok(records.has(offset), `${this}: offsets are not contiguous`);
    }
    for (const [offset, { value, logEpoch: epochThen, durability }] of this.#known) {
      if (offset < logStartOffset) continue;
      const found = records.get(offset);
      if (found !== undefined) {
        assert.equal(found, value, `${this} offset ${offset} has another record than before`);
        continue;
      }
      assert.ok(
        !survives(stop, durability) || epochThen < this.logEpoch,
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
  adopt({ records, logEpoch, logStartOffset }: PartitionImage): void {
    this.logEpoch = logEpoch;
    this.logStartOffset = logStartOffset;
    this.#startsAsked.length = 0;
    for (const [offset, value] of records) {
      const durability = this.#known.get(offset)?.durability ?? DURABILITY_MEMORY;
      this.#known.set(offset, { value, logEpoch, durability: Math.max(durability, this.#weakest) });
    }
  }

  toString(): string {
    return `${this.topicId}/${this.partition}`;
  }
}

/** Whether what was acked or shown is there after such a stop. */
function survives(stop: StopKind, durability: number): boolean {
  if (stop === "clean" || stop === "synced" || durability === DURABILITY_FSYNCED) return true;
  return stop === "process" && durability === DURABILITY_WRITTEN;
}
