import { copyBytes } from "@millrace/core";
import { ENTRY_HEADER_BYTES } from "@millrace/journal/internal";
import { ERROR_CODES } from "@millrace/protocol";
import {
  DELIVER_ENTRY_HEAD_BYTES,
  DELIVER_HEAD_BYTES,
  writeDeliverEntryHead,
  writeDeliverHead,
} from "@millrace/protocol/internal";
import { BROKER_LIMITS } from "../limits.ts";
import { PROGRESS_GAP, PROGRESS_RETENTION } from "../link/outbound-layout.ts";
import { entryAppendTime, entryCount, entryLength } from "./entry-fields.ts";
import type { Partition } from "./partition.ts";
import type { ShardLink } from "./shard-link.ts";
import { TailMemory } from "./tail-memory.ts";

/** A read of records that are no longer in the tail cache, or a search among them. */
export interface ColdRead {
  readonly kind: "read" | "fetch" | "time";
  /** read: the stream to answer. fetch: whom the shard's FetchListener is told of. time: the request to reply to. */
  readonly id: number;
  readonly topicId: number;
  readonly partition: number;
  readonly offset: number;
  /** time: the first entry appended at or after this is searched, from `offset` on. */
  readonly timeMs: number;
  /** Records at or above this offset are not to be read: newer ones are in the tail cache. */
  readonly limitOffset: number;
  readonly logEpoch: number;
  readonly maxBytes: number;
}

/** Takes cold reads to the reader thread. */
export interface ColdReads {
  /** False when there is no room now: the shard keeps the read and offers it again. */
  submit(read: ColdRead): boolean;
}

/**
 * Serves the readers of one shard from the tail cache: reads near the end of the log, and the tail groups.
 * What is older goes to the reader thread. Shard thread only.
 */
export class Delivery {
  /** What the tail cache can serve. */
  readonly memory: TailMemory;
  readonly #link: ShardLink;
  readonly #coldReads: ColdReads;
  readonly #waitingColdReads: { readonly partition: Partition; readonly read: ColdRead }[] = [];
  readonly #tailQueue: Partition[] = [];

  constructor(link: ShardLink, coldReads: ColdReads) {
    this.#link = link;
    this.#coldReads = coldReads;
    this.memory = new TailMemory(link.inbound);
  }

  get hasPendingTail(): boolean {
    return this.#tailQueue.length > 0;
  }

  /** Cold reads that found no room at the reader thread: offer them again soon. */
  get hasWaitingColdReads(): boolean {
    return this.#waitingColdReads.length > 0;
  }

  /** The partition's high watermark moved: its tail group, if there is one, gets what is new. */
  advanced(partition: Partition): void {
    if (!partition.tailed || partition.tailQueued) return;
    partition.tailQueued = true;
    this.#tailQueue.push(partition);
  }

  /** Answers one read. False: no room for the answer now, ask again. */
  read(
    partition: Partition | undefined,
    streamId: number,
    sharedStreamId: number,
    offset: number,
    maxBytes: number,
  ): boolean {
    const link = this.#link;
    if (partition === undefined) {
      return link.writeReadError(streamId, ERROR_CODES.UNKNOWN_PARTITION.code, 0, 0, 0);
    }
    if (offset < partition.logStartOffset) {
      return link.writeProgress(streamId, partition.logStartOffset, PROGRESS_RETENTION);
    }
    if (offset > partition.highWatermark) {
      return link.writeReadError(
        streamId,
        ERROR_CODES.OFFSET_OUT_OF_RANGE.code,
        partition.logStartOffset,
        partition.highWatermark,
        partition.logEpoch,
      );
    }
    if (offset === partition.highWatermark) return this.#join(partition, streamId, sharedStreamId);

    partition.tail.evictBefore(this.memory.start);
    const entry = partition.tail.find(offset);
    if (entry < 0 || !partition.tail.isInRing(entry)) {
      return this.#readCold(partition, streamId, offset, maxBytes);
    }
    const outcome = this.#deliver(
      partition,
      entry,
      offset,
      streamId,
      false,
      Math.min(maxBytes, link.deliverBytesMax),
    );
    return outcome !== NO_ROOM;
  }

  untail(partition: Partition | undefined): void {
    if (partition !== undefined) partition.tailed = false;
  }

  /** Sends what the tail groups are owed, and cold reads that waited. False if the outbound ring is full. */
  flush(): boolean {
    for (
      let waiting = this.#waitingColdReads[0];
      waiting !== undefined;
      waiting = this.#waitingColdReads[0]
    ) {
      if (!this.#offerCold(waiting.partition, waiting.read)) break;
      this.#waitingColdReads.shift();
    }
    const queue = this.#tailQueue;
    let done = 0;
    while (done < queue.length) {
      const partition = queue[done] as Partition;
      if (!this.#flushTail(partition)) break;
      partition.tailQueued = false;
      done += 1;
    }
    if (done > 0) queue.splice(0, done);
    return queue.length === 0;
  }

  #join(partition: Partition, streamId: number, sharedStreamId: number): boolean {
    // What the group is owed goes out first: the new member starts behind it.
    if (partition.tailed && !this.#flushTail(partition)) return false;
    if (!this.#link.writeJoined(streamId, sharedStreamId, partition.highWatermark)) return false;
    if (!partition.tailed) {
      partition.tailed = true;
      partition.sharedStreamId = sharedStreamId;
      partition.tailOffset = partition.highWatermark;
    }
    return true;
  }

  #flushTail(partition: Partition): boolean {
    const { tail } = partition;
    while (partition.tailed && partition.tailOffset < partition.highWatermark) {
      // The ring is held until its batches are acked and delivered, so what the group is owed and was published is cached.
      const entry = tail.find(partition.tailOffset);
      if (entry < 0 || !tail.isInRing(entry)) return this.#scatter(partition);
      const outcome = this.#deliver(
        partition,
        entry,
        partition.tailOffset,
        partition.sharedStreamId,
        true,
        Math.min(BROKER_LIMITS.deliverBytesTarget, this.#link.deliverBytesMax),
      );
      if (outcome === NO_ROOM) return false;
      partition.tailOffset = outcome;
    }
    return true;
  }

  /** The group is owed what the shard has appended itself: its members read that for themselves, and join again. */
  #scatter(partition: Partition): boolean {
    if (!this.#link.writeProgress(partition.sharedStreamId, partition.highWatermark, PROGRESS_GAP))
      return false;
    partition.tailed = false;
    return true;
  }

  #readCold(partition: Partition, streamId: number, offset: number, maxBytes: number): boolean {
    const read: ColdRead = {
      kind: "read",
      id: streamId,
      topicId: partition.topicId,
      partition: partition.partition,
      offset,
      timeMs: 0,
      limitOffset: endOfCold(partition, offset),
      logEpoch: partition.logEpoch,
      maxBytes,
    };
    if (this.#waitingColdReads.length >= BROKER_LIMITS.pendingColdReadsMax) {
      return this.#link.writeReadError(
        streamId,
        ERROR_CODES.THROTTLED.code,
        partition.logStartOffset,
        partition.highWatermark,
        partition.logEpoch,
      );
    }
    if (this.#waitingColdReads.length > 0 || !this.#offerCold(partition, read)) {
      this.#waitingColdReads.push({ partition, read });
    }
    return true;
  }

  /** Searches the first offset appended at or after timeMs; the reader thread replies to the request. */
  findTime(partition: Partition, requestId: number, timeMs: number): void {
    // Queued, not submitted: this cycle's entries must be written before somebody searches among them.
    const read: ColdRead = {
      kind: "time",
      id: requestId,
      topicId: partition.topicId,
      partition: partition.partition,
      offset: partition.logStartOffset,
      timeMs,
      limitOffset: partition.highWatermark,
      logEpoch: partition.logEpoch,
      maxBytes: 0,
    };
    this.#waitingColdReads.push({ partition, read });
  }

  /** False: there is no room for the read, or for its answer, now. */
  #offerCold(partition: Partition, read: ColdRead): boolean {
    // The start of the log may have moved while it waited: the reader would see a gap, and not say why.
    if (read.kind === "read" && read.offset < partition.logStartOffset) {
      return this.#link.writeProgress(read.id, partition.logStartOffset, PROGRESS_RETENTION);
    }
    return this.#coldReads.submit(read);
  }

  /**
   * Puts consecutive cached batches from `entry` on into one DELIVER frame of at most maxBytes. A tail
   * delivery takes at least one batch; a read is told how many bytes it would need.
   * @returns the next offset, or NO_ROOM.
   */
  #deliver(
    partition: Partition,
    entry: number,
    offset: number,
    streamId: number,
    shared: boolean,
    maxBytes: number,
  ): number {
    const link = this.#link;
    const memory = this.memory;
    const tail = partition.tail;
    const highWatermark = partition.highWatermark;
    const end = tail.end;

    // The entry found may end below the offset: a gap left by an unclean stop lies between two batches.
    const firstBase = tail.baseOffsetAt(entry);
    const firstIndex = memory.locate(tail.ringPositionAt(entry));
    if (firstBase + entryCount(memory.words, firstIndex) <= offset) {
      const next = entry + 1 < end ? Math.min(tail.baseOffsetAt(entry + 1), highWatermark) : highWatermark;
      return link.writeProgress(streamId, next, PROGRESS_GAP) ? next : NO_ROOM;
    }

    let frameBytes = DELIVER_HEAD_BYTES;
    let entries = 0;
    let nextOffset = firstBase;
    for (let e = entry; e < end; e += 1) {
      const base = tail.baseOffsetAt(e);
      if (base >= highWatermark || base !== nextOffset || !tail.isInRing(e)) break;
      const index = memory.locate(tail.ringPositionAt(e));
      const words = memory.words;
      const bytes = DELIVER_ENTRY_HEAD_BYTES + entryLength(words, index) - ENTRY_HEADER_BYTES;
      if (frameBytes + bytes > maxBytes && (entries > 0 || !shared)) break;
      frameBytes += bytes;
      entries += 1;
      nextOffset = base + entryCount(words, index);
    }
    if (entries === 0) {
      const index = memory.locate(tail.ringPositionAt(entry));
      const stored = entryLength(memory.words, index) - ENTRY_HEADER_BYTES;
      const needed = DELIVER_HEAD_BYTES + DELIVER_ENTRY_HEAD_BYTES + stored;
      return link.writeNeedsCredit(streamId, needed) ? offset : NO_ROOM;
    }

    const frame = link.claimDeliver(frameBytes);
    if (frame < 0) return NO_ROOM;
    const target = link.outbound.bytes;
    writeDeliverHead(target, frame, streamId, nextOffset, entries);
    let at = frame + DELIVER_HEAD_BYTES;
    for (let e = entry; e < entry + entries; e += 1) {
      const index = memory.locate(tail.ringPositionAt(e));
      const words = memory.words;
      const stored = entryLength(words, index) - ENTRY_HEADER_BYTES;
      writeDeliverEntryHead(
        target,
        at,
        tail.baseOffsetAt(e),
        entryCount(words, index),
        entryAppendTime(words, index),
      );
      copyBytes(target, at + DELIVER_ENTRY_HEAD_BYTES, memory.bytes, index + ENTRY_HEADER_BYTES, stored);
      at += DELIVER_ENTRY_HEAD_BYTES + stored;
    }
    link.commitDeliver(frame, streamId, shared, firstBase, nextOffset, frameBytes);
    return nextOffset;
  }
}

const NO_ROOM = -1;

/** The offset up to which batches from `offset` on are not in the tail cache; at most the high watermark. */
export function endOfCold({ tail, highWatermark }: Partition, offset: number): number {
  const next = tail.find(offset) < 0 ? tail.first : tail.find(offset) + 1;
  return next < tail.end ? Math.min(tail.baseOffsetAt(next), highWatermark) : highWatermark;
}
