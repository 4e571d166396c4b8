import { BROKER_LIMITS } from "../limits.ts";
import { type ColdReads, endOfCold } from "./delivery.ts";
import { type FetchListener, fetchIdOf } from "./fetch-listener.ts";
import { FetchedLog, type FetchUnderWay } from "./fetched-log.ts";
import type { FetchedMemory } from "./fetched-memory.ts";
import type { Partition } from "./partition.ts";
import { Stretch } from "./stretch.ts";

/**
 * Has stretches of log read by the reader thread: one of a partition at a time, and some of a shard, in the order in which
 * their partitions asked; whoever gets one stands at the end of the line for the next. A fetch whose answer tells nothing is
 * over all the same, and whoever wanted it asks again. Shard thread only.
 */
export class Fetcher implements FetchListener {
  readonly #shardId: number;
  readonly #coldReads: ColdReads;
  readonly #memory: FetchedMemory;
  /** Have wants and no fetch under way, oldest first. */
  readonly #queue: Partition[] = [];
  readonly #underWay: Partition[] = [];
  /** Have offsets that could not be read. */
  #failed: Partition[] = [];
  /** Something has come for them that onArrived was not told of. */
  #arrived: Partition[] = [];
  #fetches: number;
  #hasNoRoom = false;
  #nowMs = 0;

  /** @param firstFetch the number of the first: answers to those of a shard that was closed here may still come. */
  constructor(shardId: number, coldReads: ColdReads, memory: FetchedMemory, firstFetch = 0) {
    this.#shardId = shardId;
    this.#fetches = firstFetch;
    this.#coldReads = coldReads;
    this.#memory = memory;
  }

  /** The number of the fetch that comes next. */
  get nextFetch(): number {
    return this.#fetches;
  }

  /** Has what stands at `offset` fetched, which must be neither in the tail cache nor among what was fetched. */
  want(partition: Partition, offset: number): void {
    const log = logOf(partition, this.#memory);
    if (log.underWay?.offset === offset || log.wants.includes(offset)) return;
    if (log.failed.some((failed) => failed.offset === offset && failed.untilMs > 0)) return;
    if (log.wants.length >= BROKER_LIMITS.fetchWantsMax) return;
    log.wants.push(offset);
    this.#enqueue(partition, log);
    this.#submitNext();
  }

  /** One cycle's work. `onArrived` is told of partitions for which something has come. @returns how many */
  doWork(nowMs: number, onArrived: (partition: Partition) => void): number {
    this.#nowMs = nowMs;
    this.#hasNoRoom = false;
    this.#forgetLost();
    if (this.#failed.length > 0) this.#retryFailed();
    this.#submitNext();
    const arrived = this.#arrived;
    if (arrived.length === 0) return 0;
    this.#arrived = [];
    for (const partition of arrived) {
      if (partition.fetched !== undefined) partition.fetched.hasArrived = false;
      if (!partition.deleted) onArrived(partition);
    }
    return arrived.length;
  }

  /** Infinity: nothing but an answer, or somebody who asks, can change anything. */
  nextTimerMs(nowMs: number): number {
    let atMs = Number.POSITIVE_INFINITY;
    if (this.#arrived.length > 0) return 0;
    // The reader thread rings nobody when its ring has room again.
    if (this.#hasNoRoom) atMs = nowMs + BROKER_LIMITS.coldReadRetryMs;
    for (const { fetched } of this.#underWay) {
      const sinceMs = fetched?.underWay?.sinceMs ?? nowMs;
      atMs = Math.min(atMs, sinceMs + BROKER_LIMITS.fetchLostMs);
    }
    for (const { fetched } of this.#failed) {
      for (const { untilMs } of fetched?.failed ?? []) if (untilMs > 0) atMs = Math.min(atMs, untilMs);
    }
    return atMs - nowMs;
  }

  // Answers.

  onFetched(fetchId: number, bytes: Buffer, frameStart: number, frameEnd: number): void {
    const answered = this.#answered(fetchId);
    if (answered === undefined) return;
    const { partition, log, fetch } = answered;
    if (isCurrent(partition, fetch)) {
      const stretch = Stretch.copied(log, bytes, frameStart, frameEnd);
      if (stretch !== undefined && stretch.endOffset > partition.logStartOffset) this.#add(log, stretch);
    }
    this.#arrive(partition, log);
  }

  onNothingThere(fetchId: number, nextOffset: number, reason: number): void {
    const answered = this.#answered(fetchId);
    if (answered === undefined) return;
    const { partition, log, fetch } = answered;
    if (isCurrent(partition, fetch) && nextOffset > Math.max(fetch.offset, partition.logStartOffset)) {
      this.#add(log, Stretch.ofNothing(log, fetch.offset, nextOffset, reason));
    }
    this.#arrive(partition, log);
  }

  onNeedsBytes(fetchId: number, bytes: number): void {
    const answered = this.#answered(fetchId);
    if (answered === undefined) return;
    const { partition, log, fetch } = answered;
    log.neededBytes = bytes;
    this.#repeat(partition, log, fetch.offset);
  }

  onFetchFailed(fetchId: number): void {
    const answered = this.#answered(fetchId);
    if (answered === undefined) return;
    const { partition, log, fetch } = answered;
    const { fetchRetryMsMin, fetchRetryMsMax, fetchWantsMax } = BROKER_LIMITS;
    const { offset } = fetch;
    const at = log.failed.findIndex((failed) => failed.offset === offset);
    const [before] = at < 0 ? [] : log.failed.splice(at, 1);
    if (log.failed.length >= fetchWantsMax) log.failed.shift();
    const delayMs = before === undefined ? fetchRetryMsMin : Math.min(2 * before.delayMs, fetchRetryMsMax);
    log.failed.push({ offset, delayMs, untilMs: this.#nowMs + delayMs });
    if (!this.#failed.includes(partition)) this.#failed.push(partition);
    this.#enqueue(partition, log);
  }

  /** The fetch is over, and the place it had is free. Undefined: it was taken for lost. */
  #answered(fetchId: number): Answered | undefined {
    const at = this.#underWay.findIndex(({ fetched }) => fetched?.underWay?.id === fetchId);
    if (at < 0) return undefined;
    const [partition] = this.#underWay.splice(at, 1) as [Partition];
    const log = partition.fetched as FetchedLog;
    const fetch = log.underWay as FetchUnderWay;
    log.underWay = undefined;
    return { partition, log, fetch };
  }

  #add(log: FetchedLog, stretch: Stretch): void {
    log.add(stretch);
    if (log.failed.length === 0) return;
    const left = log.failed.filter(
      ({ offset }) => offset < stretch.firstOffset || offset >= stretch.endOffset,
    );
    log.failed.splice(0, log.failed.length, ...left);
  }

  #arrive(partition: Partition, log: FetchedLog): void {
    if (!log.hasArrived) {
      log.hasArrived = true;
      this.#arrived.push(partition);
    }
    this.#enqueue(partition, log);
  }

  /** Asks for the same once more, before all else that is wanted of the partition. */
  #repeat(partition: Partition, log: FetchedLog, offset: number): void {
    log.wants.unshift(offset);
    this.#enqueue(partition, log);
  }

  #enqueue(partition: Partition, log: FetchedLog): void {
    if (log.isQueued || log.underWay !== undefined || log.wants.length === 0) return;
    log.isQueued = true;
    this.#queue.push(partition);
  }

  #submitNext(): void {
    while (!this.#hasNoRoom && this.#underWay.length < BROKER_LIMITS.fetchesMax) {
      const partition = this.#queue.shift();
      if (partition === undefined) return;
      const log = partition.fetched as FetchedLog;
      log.isQueued = false;
      if (partition.deleted) {
        log.wants.length = 0;
        continue;
      }
      const offset = nextWanted(partition, log);
      if (offset < 0) {
        // All that was asked for is here, or was given up.
        this.#arrive(partition, log);
        continue;
      }
      if (!this.#submit(partition, log, offset)) {
        this.#hasNoRoom = true;
        log.isQueued = true;
        this.#queue.unshift(partition);
        return;
      }
      log.wants.shift();
    }
  }

  #submit(partition: Partition, log: FetchedLog, offset: number): boolean {
    const id = fetchIdOf(this.#shardId, this.#fetches);
    const { topicId, logEpoch } = partition;
    const submitted = this.#coldReads.submit({
      kind: "fetch",
      id,
      topicId,
      partition: partition.partition,
      offset,
      timeMs: 0,
      // What follows there is here already.
      limitOffset: Math.min(endOfCold(partition, offset), log.nextStart(offset)),
      logEpoch,
      maxBytes: Math.max(log.neededBytes, this.#bytesOfOne()),
    });
    if (!submitted) return false;
    this.#fetches += 1;
    log.neededBytes = 0;
    log.underWay = { id, offset, logEpoch, sinceMs: this.#nowMs };
    this.#underWay.push(partition);
    return true;
  }

  /** Where many share the memory, a stretch must not drive out what others have not used yet. */
  #bytesOfOne(): number {
    const { fetchedBytesMax, fetchBytesMax, fetchBytesMin } = BROKER_LIMITS;
    const sharers = this.#memory.logs + this.#queue.length + 1;
    return Math.max(fetchBytesMin, Math.min(fetchBytesMax, Math.floor(fetchedBytesMax / 2 / sharers)));
  }

  #forgetLost(): void {
    const before = this.#nowMs - BROKER_LIMITS.fetchLostMs;
    // In the order in which they were sent.
    for (;;) {
      const partition = this.#underWay[0];
      const log = partition?.fetched;
      if (partition === undefined || log?.underWay === undefined || log.underWay.sinceMs > before) return;
      this.#underWay.shift();
      const { offset } = log.underWay;
      log.underWay = undefined;
      this.#repeat(partition, log, offset);
    }
  }

  /** Whoever wants what could not be read may ask once more. */
  #retryFailed(): void {
    let isOver = false;
    for (const partition of this.#failed) {
      const log = partition.fetched as FetchedLog;
      let isWaiting = false;
      for (const failed of log.failed) {
        if (failed.untilMs > this.#nowMs && !partition.deleted) isWaiting = true;
        else if (failed.untilMs > 0) {
          failed.untilMs = 0;
          this.#arrive(partition, log);
        }
      }
      if (!isWaiting) isOver = true;
    }
    if (isOver) {
      this.#failed = this.#failed.filter(({ fetched }) => fetched?.failed.some(({ untilMs }) => untilMs > 0));
    }
  }
}

interface Answered {
  readonly partition: Partition;
  readonly log: FetchedLog;
  readonly fetch: FetchUnderWay;
}

function logOf(partition: Partition, memory: FetchedMemory): FetchedLog {
  let log = partition.fetched;
  if (log === undefined) {
    log = new FetchedLog(memory, partition.logEpoch);
    partition.fetched = log;
  }
  return log;
}

/** Whether what was read is of the log as it is. */
function isCurrent(partition: Partition, fetch: FetchUnderWay): boolean {
  return !partition.deleted && partition.logEpoch === fetch.logEpoch;
}

/** The oldest want that is still to be fetched; -1: none. It is the first of the log's wants then. */
function nextWanted(partition: Partition, log: FetchedLog): number {
  for (;;) {
    const offset = log.wants[0];
    if (offset === undefined) return -1;
    if (offset >= partition.logStartOffset && log.find(offset, partition.logEpoch) === undefined)
      return offset;
    log.wants.shift();
  }
}
