import {
  ENTRY_HEADER_BYTES,
  fillEntryHeader,
  type GatewayPort,
  SHARD_DOWN,
  type Topic,
} from "@millrace/broker/internal";
import { copyBytes } from "@millrace/core";
import { ERROR_CODES, LIMITS, MALFORMED, MillraceError, PublishHead, UNSUPPORTED } from "@millrace/protocol";
import { CHECKSUM_TRAILER_BYTES } from "@millrace/protocol/internal";
import type { AckSender } from "./ack-sender.ts";
import type { Clock } from "./clock.ts";
import { addInFlight, settleAllInFlight } from "./in-flight.ts";
import { GATEWAY_LIMITS } from "./limits.ts";
import { type ParkedFrame, ParkedFrames, ParkedMemory } from "./parked-frames.ts";
import { CREDIT_EXCEEDED, type PublishCreditPool } from "./publish-credit.ts";
import type { Session } from "./session.ts";

const UNKNOWN_TOPIC = ERROR_CODES.UNKNOWN_TOPIC.code;
const UNKNOWN_PARTITION = ERROR_CODES.UNKNOWN_PARTITION.code;
const UNSUPPORTED_FEATURE = ERROR_CODES.UNSUPPORTED_FEATURE.code;
const INVALID_BATCH = ERROR_CODES.INVALID_BATCH.code;
const BATCH_TOO_LARGE = ERROR_CODES.BATCH_TOO_LARGE.code;
const THROTTLED = ERROR_CODES.THROTTLED.code;
const JOURNAL_FAILED = ERROR_CODES.JOURNAL_FAILED.code;
const SHARD_RESTARTED = ERROR_CODES.SHARD_RESTARTED.code;
const SERVER_DRAINING = ERROR_CODES.SERVER_DRAINING.code;

const TRAILER_MARKER = 0xce;

/** What may precede a batch that is copied with its frame: the entry's header has room for it behind length and type. */
const FRAME_HEAD_BYTES_MAX = ENTRY_HEADER_BYTES - 8;

// What became of a frame that was offered to its shard.
const HANDED_OVER = 0;
/** The ring is full: park the frame behind those that wait already. */
const NO_ROOM = -1;
/** The client has been told why not. */
const REFUSED = -2;
/** This node may not have heard of the topic yet: park the frame until it is sure. */
const UNPLACED = -3;

/**
 * The way of a publish from a message to the ring of its shard. Reads the frame's head only and copies the stored
 * payload once, from uWebSockets.js's memory to the ring's; allocates nothing unless the ring is full.
 */
export class PublishPath {
  readonly #port: GatewayPort;
  readonly #credit: PublishCreditPool;
  readonly #acks: AckSender;
  readonly #clock: Clock;
  readonly #head: PublishHead = new PublishHead();
  /** Frames that wait for room in their shard's ring. Every byte of them is reserved in the publish credit pool. */
  readonly #parked: ParkedFrames[] = [];
  readonly #parkedMemory: ParkedMemory = new ParkedMemory();
  /** Frames of topics that this node may not have heard of yet, by the topic. */
  readonly #unplaced: Map<number, ParkedFrames> = new Map();
  readonly #failed: boolean[] = [];
  #lastTopic: Topic | undefined;
  #parkedTimer = false;
  #draining = false;

  constructor(port: GatewayPort, credit: PublishCreditPool, acks: AckSender, clock: Clock) {
    this.#port = port;
    this.#credit = credit;
    this.#acks = acks;
    this.#clock = clock;
  }

  /** Frames that wait for room in a ring. */
  get parkedFrames(): number {
    return this.#parked.reduce((sum, queue) => sum + queue.length, 0);
  }

  /** A PUBLISH frame; `bytes` is valid until the call returns. */
  onPublish(session: Session, bytes: Uint8Array): void {
    const length = bytes.length;
    if (this.#credit.spend(session.credit, length) === CREDIT_EXCEEDED) {
      const { limit, received } = session.credit;
      session.fail(
        new MillraceError("CREDIT_EXCEEDED", "the frame goes beyond the publish credit", {
          details: { publishCreditLimit: limit, sentBytes: received, frameBytes: length },
        }),
      );
      return;
    }
    const head = this.#head;
    const outcome = head.parse(bytes, 0, length);
    if (outcome === MALFORMED) {
      session.fail(new MillraceError("MALFORMED_FRAME", "malformed PUBLISH frame"));
      return;
    }
    if (outcome === UNSUPPORTED) {
      this.#refuse(session, UNSUPPORTED_FEATURE, 0);
    } else {
      const outcome = this.#offer(session, bytes, 0, length, true);
      if (outcome === NO_ROOM) {
        this.#park(session, bytes);
        return;
      }
      if (outcome === UNPLACED) {
        this.#parkUnplaced(session, bytes);
        return;
      }
    }
    this.#credit.release(session.credit, length);
  }

  /** The shard's ring has room again. */
  onSpace(shardId: number): void {
    const parked = this.#parked[shardId];
    if (parked === undefined) return;
    for (let first = parked.first; first !== undefined; first = parked.first) {
      const { session, bytes, start, end } = first;
      if (!session.isClosed) {
        this.#head.parse(bytes, start, end);
        if (this.#offer(session, bytes, start, end, false) === NO_ROOM) return;
      }
      parked.shift();
      this.#credit.release(session.credit, end - start);
    }
  }

  /** The shard's thread died: what it held, and what waited for it, has to be sent again. */
  onShardDown(shardId: number, sessions: Iterable<Session>): void {
    this.#lose(shardId, sessions, SHARD_RESTARTED, GATEWAY_LIMITS.shardRestartRetryAfterMs);
  }

  onShardFailed(shardId: number, sessions: Iterable<Session>): void {
    this.#failed[shardId] = true;
    this.#lose(shardId, sessions, JOURNAL_FAILED, 0);
  }

  onShardUp(shardId: number): void {
    this.#failed[shardId] = false;
  }

  onTopicCreated({ topicId }: Topic): void {
    // At once: what is published from now on must not overtake them.
    if (this.#unplaced.size > 0) this.#place(topicId, UNKNOWN_TOPIC);
  }

  onTopicDeleted(topic: Topic): void {
    if (this.#lastTopic?.topicId === topic.topicId) this.#lastTopic = undefined;
  }

  /** From now on publishes are refused; those that wait are given up. */
  drain(): void {
    this.#draining = true;
    for (const topicId of [...this.#unplaced.keys()]) this.#place(topicId, SERVER_DRAINING);
    for (let shardId = 0; shardId < this.#parked.length; shardId += 1) {
      this.onSpace(shardId);
      const parked = this.#parked[shardId];
      if (parked === undefined) continue;
      for (let first = parked.first; first !== undefined; first = parked.first) {
        this.#refuseParked(first, SERVER_DRAINING, 0);
        parked.shift();
      }
    }
  }

  /** Tells each session which partitions' unanswered publishes are lost, once for each partition. */
  #lose(shardId: number, sessions: Iterable<Session>, errorNumber: number, retryAfterMs: number): void {
    const parked = this.#parked[shardId];
    for (let first = parked?.first; parked !== undefined && first !== undefined; first = parked.first) {
      const { session, bytes, start, end } = first;
      if (!session.isClosed) {
        const head = this.#head;
        head.parse(bytes, start, end);
        addInFlight(session, head.topicId, head.partition, shardId, head.count, end - start);
      }
      parked.shift();
      this.#credit.release(session.credit, end - start);
    }
    for (const session of sessions) {
      if (session.inFlight === undefined) continue;
      for (const entry of session.inFlight.values()) {
        if (entry.shardId !== shardId || entry.records === 0) continue;
        settleAllInFlight(session, entry);
        this.#credit.refill(session.credit);
        this.#acks.refuseAll(session, entry.topicId, entry.partition, errorNumber, retryAfterMs);
      }
    }
  }

  /** Checks the frame whose head was parsed, and copies it to its shard: HANDED_OVER, NO_ROOM or REFUSED. */
  #offer(session: Session, bytes: Uint8Array, start: number, end: number, isNew: boolean): number {
    const head = this.#head;
    const { topicId, partition } = head;
    let topic = this.#lastTopic;
    if (topic === undefined || topic.topicId !== topicId) {
      // Topic 0 is the catalog: the broker's own.
      topic = topicId === 0 ? undefined : this.#port.topicById(topicId);
      if (topic === undefined) {
        if (isNew && topicId !== 0 && this.#mayBeMade(topicId)) return UNPLACED;
        return this.#refuse(session, UNKNOWN_TOPIC, 0);
      }
      this.#lastTopic = topic;
    }
    if (partition >= topic.partitions) return this.#refuse(session, UNKNOWN_PARTITION, 0);
    const { count, baseSequence } = head;
    if (count === 0 || baseSequence + count > Number.MAX_SAFE_INTEGER)
      return this.#refuse(session, INVALID_BATCH, 0);
    if (this.#draining && isNew) return this.#refuse(session, SERVER_DRAINING, 0);

    const shardId = topic.shards[partition] as number;
    if (isNew && (this.#parked[shardId]?.length ?? 0) > 0) return NO_ROOM;
    const stored = head.batchEnd - head.batchStart + CHECKSUM_TRAILER_BYTES;
    if (stored > LIMITS.batchBytesMax) return this.#refuse(session, BATCH_TOO_LARGE, 0);
    const port = this.#port;
    const index = port.claimBatch(shardId, stored);
    if (index < 0) {
      if (this.#failed[shardId] === true) return this.#refuse(session, JOURNAL_FAILED, 0);
      if (index === SHARD_DOWN) {
        return this.#refuse(session, SHARD_RESTARTED, GATEWAY_LIMITS.shardRestartRetryAfterMs);
      }
      return NO_ROOM;
    }
    const target = port.batchBytes(shardId);
    const at = index + ENTRY_HEADER_BYTES;
    const before = head.batchStart - start;
    if (head.tailIsStoredPayload && before <= FRAME_HEAD_BYTES_MAX) {
      // The whole frame, so that the batch comes to lie at its place: a copy of a part would need a view of it, which
      // costs as much as the copy of a small frame. What precedes the batch is overwritten by the header below.
      copyBytes(target, at - before, bytes, start, end - start);
    } else {
      const batchBytes = stored - CHECKSUM_TRAILER_BYTES;
      copyBytes(target, at, bytes, head.batchStart, batchBytes);
      writeTrailer(target, at + batchBytes, head.checksum);
    }
    fillEntryHeader(
      port.batchWords(shardId),
      index,
      session.id,
      topicId,
      partition,
      head.producerId,
      head.producerEpoch,
      baseSequence,
      count,
      head.checksum,
      head.hasChecksum,
    );
    port.commitBatch(shardId, index);
    addInFlight(session, topicId, partition, shardId, count, end - start);
    return HANDED_OVER;
  }

  /** Whether this node may not have heard of the topic yet; then it is found out, and what waits for that is placed. */
  #mayBeMade(topicId: number): boolean {
    if (this.#draining) return false;
    if (this.#unplaced.has(topicId)) return true;
    if (this.#unplaced.size >= GATEWAY_LIMITS.unplacedTopicsMax) return false;
    const caughtUp = this.#port.catchUp({ topicId });
    if (caughtUp === undefined) return false;
    const waiting = new ParkedFrames(this.#parkedMemory);
    this.#unplaced.set(topicId, waiting);
    const placed = (errorNumber: number) => (): void => {
      if (this.#unplaced.get(topicId) === waiting) this.#place(topicId, errorNumber);
    };
    caughtUp.then(placed(UNKNOWN_TOPIC), placed(SHARD_RESTARTED));
    return true;
  }

  #parkUnplaced(session: Session, bytes: Uint8Array): void {
    this.#unplaced.get(this.#head.topicId)?.push(session, bytes, this.#clock.monotonicMs());
  }

  /** Offers what waited for this topic to its shards, or refuses it with that error if there is none. */
  #place(topicId: number, errorNumber: number): void {
    const waiting = this.#unplaced.get(topicId);
    if (waiting === undefined) return;
    this.#unplaced.delete(topicId);
    const isKnown = this.#port.topicById(topicId) !== undefined;
    const retryAfterMs = errorNumber === SHARD_RESTARTED ? GATEWAY_LIMITS.shardRestartRetryAfterMs : 0;
    for (let first = waiting.first; first !== undefined; first = waiting.first) {
      const { session, bytes, start, end } = first;
      if (!isKnown || session.isClosed) {
        this.#refuseParked(first, errorNumber, retryAfterMs);
      } else {
        this.#head.parse(bytes, start, end);
        if (this.#offer(session, bytes, start, end, true) === NO_ROOM) {
          this.#park(session, bytes.subarray(start, end));
        } else {
          this.#credit.release(session.credit, end - start);
        }
      }
      waiting.shift();
    }
  }

  /** Refuses the publish whose head was parsed. */
  #refuse(session: Session, errorNumber: number, retryAfterMs: number): number {
    const { topicId, partition, producerId, baseSequence, count } = this.#head;
    this.#acks.refuse(
      session,
      topicId,
      partition,
      producerId,
      baseSequence,
      count,
      errorNumber,
      retryAfterMs,
    );
    return REFUSED;
  }

  #park(session: Session, bytes: Uint8Array): void {
    const topic = this.#lastTopic as Topic;
    const shardId = topic.shards[this.#head.partition] as number;
    let parked = this.#parked[shardId];
    if (parked === undefined) {
      parked = new ParkedFrames(this.#parkedMemory);
      this.#parked[shardId] = parked;
    }
    this.#credit.congested(session.credit);
    parked.push(session, bytes, this.#clock.monotonicMs());
    this.#watchParked();
  }

  /** Looks for publishes that have waited too long, as long as any waits. */
  #watchParked(): void {
    if (this.#parkedTimer) return;
    this.#parkedTimer = true;
    this.#clock.after(GATEWAY_LIMITS.parkedMsMax / 4, () => {
      this.#parkedTimer = false;
      this.throttleOverdue();
      if (this.parkedFrames > 0) this.#watchParked();
      else this.#parkedMemory.trim();
    });
  }

  /** Refuses what waits longer than parkedMsMax; the shard refuses its successors as OUT_OF_SEQUENCE by itself. */
  throttleOverdue(): void {
    const before = this.#clock.monotonicMs() - GATEWAY_LIMITS.parkedMsMax;
    for (let shardId = 0; shardId < this.#parked.length; shardId += 1) {
      const parked = this.#parked[shardId];
      if (parked === undefined) continue;
      for (let first = parked.first; first !== undefined && first.parkedMs <= before; first = parked.first) {
        this.#refuseParked(first, THROTTLED, GATEWAY_LIMITS.throttleRetryAfterMs);
        parked.shift();
      }
    }
  }

  #refuseParked(
    { session, bytes, start, end }: ParkedFrame,
    errorNumber: number,
    retryAfterMs: number,
  ): void {
    if (!session.isClosed) {
      this.#head.parse(bytes, start, end);
      this.#refuse(session, errorNumber, retryAfterMs);
    }
    this.#credit.release(session.credit, end - start);
  }
}

/** The checksum as the stored payload ends with it. Without one it is zero here, and the shard fills it in. */
function writeTrailer(target: Buffer, at: number, checksum: number): void {
  target[at] = TRAILER_MARKER;
  target[at + 1] = checksum >>> 24;
  target[at + 2] = checksum >>> 16;
  target[at + 3] = checksum >>> 8;
  target[at + 4] = checksum;
}
