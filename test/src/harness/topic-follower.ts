import type { Client, Gap, ReceivedRecord, Subscription } from "@millrace/client";
import { nameOfValue, recordValue } from "./test-records.ts";

/** A record that was read, by the name in its value. */
export interface SeenRecord {
  readonly partition: number;
  readonly offset: number;
  readonly producer: string;
  readonly sequence: number;
  readonly bytes: number;
}

export interface TopicFollowerOptions {
  readonly client: Client;
  readonly topic: string;
  /** The topic is empty: what comes first is at offset 0. Otherwise it is wherever the log starts. */
  readonly isEmpty: boolean;
  /** Ends at the high watermarks of its beginning. */
  readonly untilEnd?: boolean | undefined;
  /** Called for each record; what it returns is waited for. For readers who fall behind. */
  readonly dawdle?: (() => Promise<void>) | undefined;
  /** For `takeSeen`. */
  readonly remembers?: boolean | undefined;
}

/**
 * Reads a topic from its beginning while it is written and expires, and judges what it gets: in each partition one offset
 * comes after the other, but for gaps of retention that were reported, and every value is whole.
 */
export class TopicFollower {
  readonly problems: string[] = [];
  records = 0;
  bytes = 0;
  gaps = 0;
  /** Records that were dropped before they were read. */
  missed = 0;
  readonly #options: TopicFollowerOptions;
  readonly #subscription: Subscription;
  readonly #reading: Promise<void>;
  /** Gaps that were told of and are not reached yet, by partition. */
  readonly #told: Map<number, Gap[]> = new Map();
  readonly #next: Map<number, number> = new Map();
  /** Where the last gap ended that was passed. */
  readonly #dropped: Map<number, number> = new Map();
  #seen: SeenRecord[] = [];

  constructor(options: TopicFollowerOptions) {
    this.#options = options;
    this.#subscription = options.client.subscribe(options.topic, {
      from: "earliest",
      untilEnd: options.untilEnd,
      onGap: (gap) => this.#tell(gap),
    });
    this.#reading = this.#read().catch((error: unknown) => void this.problems.push(String(error)));
  }

  /** Resolves when all is read, with `untilEnd`. */
  ended(): Promise<void> {
    return this.#reading;
  }

  /** Everything of the partition below it has been reported as dropped. */
  droppedThrough(partition: number): number {
    return this.#dropped.get(partition) ?? 0;
  }

  /** The offset that comes next. */
  position(partition: number): number {
    const next = this.#next.get(partition) ?? 0;
    // What lies behind the last record may have expired, too.
    return this.#told.get(partition)?.find(({ fromOffset }) => fromOffset === next)?.toOffset ?? next;
  }

  /** What was read since the last call. */
  takeSeen(): SeenRecord[] {
    const seen = this.#seen;
    this.#seen = [];
    return seen;
  }

  async stop(): Promise<void> {
    await this.#subscription.close();
    await this.#reading;
  }

  #tell(gap: Gap): void {
    const gaps = this.#told.get(gap.partition);
    if (gaps === undefined) this.#told.set(gap.partition, [gap]);
    else gaps.push(gap);
    if (gap.reason !== "retention" || gap.toOffset <= gap.fromOffset) {
      this.problems.push(`gap: ${JSON.stringify(gap)}`);
    }
  }

  async #read(): Promise<void> {
    const { dawdle, remembers } = this.#options;
    for await (const record of this.#subscription) {
      this.#judge(record);
      const { partition, offset } = record;
      if (remembers === true) {
        const value = record.value as Uint8Array;
        this.#seen.push({ partition, offset, bytes: value.length, ...nameOfValue(value) });
      }
      await dawdle?.();
    }
  }

  #judge({ topic, partition, offset, value }: ReceivedRecord): void {
    const bytes = value as Uint8Array;
    const expected = this.#pass(partition, offset);
    if (offset !== expected) this.problems.push(`${topic} ${partition}/${offset} instead of ${expected}`);
    const { producer, sequence } = nameOfValue(bytes);
    if (!recordValue(producer, sequence, bytes.length).equals(bytes)) {
      this.problems.push(`${topic} ${partition}/${offset} is altered`);
    }
    this.#next.set(partition, offset + 1);
    this.records += 1;
    this.bytes += bytes.length;
  }

  /** Goes over the gaps before an offset. @returns the offset that comes then */
  #pass(partition: number, offset: number): number {
    const gaps = this.#told.get(partition) ?? [];
    let next = this.#next.get(partition) ?? (this.#options.isEmpty ? 0 : (gaps[0]?.fromOffset ?? offset));
    while (next < offset && gaps[0]?.fromOffset === next) {
      const { toOffset } = gaps.shift() as Gap;
      this.gaps += 1;
      this.missed += toOffset - next;
      next = toOffset;
      this.#dropped.set(partition, toOffset);
    }
    return next;
  }
}
