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
import { gatewayOf } from "../link/gateway-ids.ts";
import { PROGRESS_GAP, PROGRESS_RETENTION } from "../link/outbound-layout.ts";
import { entryAppendTime, entryCount, entryLength } from "./entry-fields.ts";
import type { Partition } from "./partition.ts";
import type { ShardLink } from "./shard-link.ts";
import { addTailGroup, removeTailGroup, type TailGroup, tailGroupOf } from "./tail-group.ts";
import { TailMemory } from "./tail-memory.ts";

/** A read of records that are no longer in the tail cache, or a search among them. */
export interface ColdRead {
  readonly kind: "read" | "fetch" | "time" | "barrier";
  /** read: the stream to answer. fetch: whom the shard's FetchListener is told of. time, barrier: the request to reply to. */
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

interface WaitingColdRead {
  /** Undefined for a barrier. */
  readonly partition: Partition | undefined;
  readonly read: ColdRead;
}

/** Reads nothing: is answered when its turn has come. */
const BARRIER: ColdRead = {
  kind: "barrier",
  id: 0,
  topicId: 0,
  partition: 0,
  offset: 0,
  timeMs: 0,
  limitOffset: 0,
  logEpoch: 0,
  maxBytes: 0,
};

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
  readonly #waitingColdReads: WaitingColdRead[] = [];
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

  /** The partition's high watermark moved: its tail groups, if there are any, get what is new. */
  advanced(partition: Partition): void {
    if (partition.tailGroups.length === 0 || partition.tailQueued) return;
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

  untail(partition: Partition | undefined, gateway: number): void {
    const group = partition && tailGroupOf(partition, gateway);
    if (group !== undefined) removeTailGroup(partition as Partition, group);
  }

  /** Nothing more is delivered to this gateway, but for what the reader thread has been asked for. */
  gatewayGone(gateway: number, partitions: Iterable<Partition>): void {
    for (const partition of partitions) this.untail(partition, gateway);
    const waiting = this.#waitingColdReads;
    const kept = waiting.filter(({ read: { kind, id } }) => kind === "barrier" || gatewayOf(id) !== gateway);
    waiting.splice(0, waiting.length, ...kept);
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
      if (!this.#flushTails(partition)) break;
      partition.tailQueued = false;
      done += 1;
    }
    if (done > 0) queue.splice(0, done);
    return queue.length === 0;
  }

  #join(partition: Partition, streamId: number, sharedStreamId: number): boolean {
    const gateway = gatewayOf(sharedStreamId);
    let group = tailGroupOf(partition, gateway);
    // What the group is owed goes out first: the new member starts behind it.
    if (group !== undefined && !this.#flushTail(partition, group)) return false;
    const { highWatermark } = partition;
    if (!this.#link.writeJoined(streamId, sharedStreamId, highWatermark)) return false;
    // It may have been scattered.
    group = tailGroupOf(partition, gateway);
    if (group === undefined) addTailGroup(partition, { sharedStreamId, offset: highWatermark });
    return true;
  }

  #flushTails(partition: Partition): boolean {
    const { tailGroups } = partition;
    for (let i = 0; i < tailGroups.length; ) {
      const group = tailGroups[i] as TailGroup;
      if (!this.#flushTail(partition, group)) return false;
      // Those behind a group that was scattered have moved up, if there are any.
      if (partition.tailGroups !== tailGroups) break;
      if (tailGroups[i] === group) i += 1;
    }
    return true;
  }

  #flushTail(partition: Partition, group: TailGroup): boolean {
    const { tail } = partition;
    while (group.offset < partition.highWatermark) {
      // The ring is held until its batches are acked and delivered, so what the group is owed and was published is cached.
      const entry = tail.find(group.offset);
      if (entry < 0 || !tail.isInRing(entry)) return this.#scatter(partition, group);
      const outcome = this.#deliver(
        partition,
        entry,
        group.offset,
        group.sharedStreamId,
        true,
        Math.min(BROKER_LIMITS.deliverBytesTarget, this.#link.deliverBytesMax),
      );
      if (outcome === NO_ROOM) return false;
      group.offset = outcome;
    }
    return true;
  }

  /** The group is owed what the shard has appended itself: its members read that for themselves, and join again. */
  #scatter(partition: Partition, group: TailGroup): boolean {
    if (!this.#link.writeProgress(group.sharedStreamId, partition.highWatermark, PROGRESS_GAP)) return false;
    removeTailGroup(partition, group);
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

  /** The reader thread replies to the request when it has answered all reads that it was asked for before. */
  awaitReads(requestId: number): void {
    this.#waitingColdReads.push({ partition: undefined, read: { ...BARRIER, id: requestId } });
  }

  /** False: there is no room for the read, or for its answer, now. */
  #offerCold(partition: Partition | undefined, read: ColdRead): boolean {
    // The start of the log may have moved while it waited: the reader would see a gap, and not say why.
    if (partition !== undefined && read.kind === "read" && read.offset < partition.logStartOffset) {
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
