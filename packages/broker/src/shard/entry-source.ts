import { ENTRY_HEADER_BYTES } from "@millrace/journal/internal";
import { BROKER_LIMITS } from "../limits.ts";
import { PROGRESS_GAP, PROGRESS_RETENTION } from "../link/outbound-layout.ts";
import type { ColdReads } from "./delivery.ts";
import { entryAppendTime, entryCount, entryLength } from "./entry-fields.ts";
import type { FetchListener } from "./fetch-listener.ts";
import { FetchedMemory } from "./fetched-memory.ts";
import { Fetcher } from "./fetcher.ts";
import type { Partition } from "./partition.ts";
import { HAS_ENTRIES } from "./stretch.ts";
import type { TailMemory } from "./tail-memory.ts";

/** The stored batch that holds the offset is described by the source's fields, until the next call or the end of the cycle. */
export const HERE = 0;
/** There is no such record and will never be: go on at the source's `nextOffset`. */
export const GONE = -1;
/** Not in memory yet: it is being read, or will be. Ask again after `onArrived`. */
export const COMING = -2;

const NOTHING = Buffer.alloc(0);

/**
 * Where a shard finds stored batches at any offset of its partitions: in the tail cache, else among the stretches of log that
 * the reader thread has fetched for it. Shard thread only; allocates nothing for what is there.
 */
export class EntrySource {
  /** After HERE: bytes[start, start + storedBytes) is the stored payload, the batch and its checksum's trailer. */
  bytes: Buffer = NOTHING;
  start = 0;
  storedBytes = 0;
  baseOffset = 0;
  count = 0;
  appendTimeMs = 0;
  /** After GONE: no record stands below this offset from the one asked for on … */
  nextOffset = 0;
  /** … and why: PROGRESS_GAP, PROGRESS_RETENTION or PROGRESS_DAMAGE. */
  reason: number = PROGRESS_GAP;
  /** Told once a cycle of each partition for which something has come since: whoever got COMING asks again. */
  onArrived: (partition: Partition) => void = () => {};
  readonly #memory: TailMemory;
  readonly #fetched: FetchedMemory;
  readonly #fetcher: Fetcher;

  constructor(shardId: number, memory: TailMemory, coldReads: ColdReads, firstFetch = 0) {
    this.#memory = memory;
    this.#fetched = new FetchedMemory(BROKER_LIMITS.fetchedBytesMax);
    this.#fetcher = new Fetcher(shardId, coldReads, this.#fetched, firstFetch);
  }

  /** Whom the reader thread's answers to this shard's fetches are for. */
  get listener(): FetchListener {
    return this.#fetcher;
  }

  /** See Fetcher. */
  get nextFetch(): number {
    return this.#fetcher.nextFetch;
  }

  /** Of what was fetched; the tail cache is not counted. */
  get fetchedBytes(): number {
    return this.#fetched.usedBytes;
  }

  /** Once a cycle, before anybody asks. @returns an amount of work */
  doWork(nowMs: number): number {
    return this.#fetcher.doWork(nowMs, this.onArrived);
  }

  /** Milliseconds until doWork should run again even if nobody rings. */
  nextTimerMs(nowMs: number): number {
    return this.#fetcher.nextTimerMs(nowMs);
  }

  /**
   * Finds the stored batch that holds `offset`.
   * @returns HERE, GONE or COMING; at and above the high watermark always COMING, of which onArrived is not told.
   */
  locate(partition: Partition, offset: number): number {
    const { logStartOffset, highWatermark, tail } = partition;
    if (offset < logStartOffset) return this.#gone(logStartOffset, PROGRESS_RETENTION);
    if (offset >= highWatermark) return COMING;
    const memory = this.#memory;
    tail.evictBefore(memory.start);
    const entry = tail.find(offset);
    if (entry < 0 || !tail.isInRing(entry)) return this.#locateFetched(partition, offset);
    const index = memory.locate(tail.ringPositionAt(entry));
    const words = memory.words;
    const baseOffset = tail.baseOffsetAt(entry);
    const count = entryCount(words, index);
    if (baseOffset + count <= offset) {
      const next = entry + 1 < tail.end ? tail.baseOffsetAt(entry + 1) : highWatermark;
      return this.#gone(Math.min(next, highWatermark), PROGRESS_GAP);
    }
    this.bytes = memory.bytes;
    this.start = index + ENTRY_HEADER_BYTES;
    this.storedBytes = entryLength(words, index) - ENTRY_HEADER_BYTES;
    this.baseOffset = baseOffset;
    this.count = count;
    this.appendTimeMs = entryAppendTime(words, index);
    return HERE;
  }

  #locateFetched(partition: Partition, offset: number): number {
    const stretch = partition.fetched?.find(offset, partition.logEpoch);
    if (stretch === undefined) {
      this.#fetcher.want(partition, offset);
      return COMING;
    }
    if (stretch.reason !== HAS_ENTRIES) return this.#gone(stretch.endOffset, stretch.reason);
    const entry = stretch.find(offset);
    const start = stretch.startAt(entry);
    const baseOffset = stretch.baseOffsetAt(entry);
    this.bytes = stretch.bytes;
    this.start = start;
    this.storedBytes = stretch.endAt(entry) - start;
    this.baseOffset = baseOffset;
    this.count = stretch.endOffsetAt(entry) - baseOffset;
    this.appendTimeMs = stretch.appendTimeAt(entry);
    return HERE;
  }

  #gone(nextOffset: number, reason: number): number {
    this.nextOffset = nextOffset;
    this.reason = reason;
    return GONE;
  }
}
