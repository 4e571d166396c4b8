import { copyBytes, type Doorbell, OneToOneRingBuffer } from "@millrace/core";
import { writeU64 } from "@millrace/journal/internal";
import { BROKER_LIMITS } from "../limits.ts";
import { LINK_STATE, type LinkBuffers, REFUSALS, type RefusalReason } from "../link/link-buffers.ts";
import * as out from "../link/outbound-layout.ts";
import type { Partition } from "./partition.ts";

const WORDS_HEADER = 2;
/** Twice what the answer to one read takes at most. */
const READ_FREE_PART = 1 / 4;

/**
 * The shard's end of its link to a gateway: consumes the inbound ring and writes answers into the outbound
 * one. Every writer returns false when the outbound ring is full; the caller keeps what it wanted to say and
 * tries again in the next duty cycle. Shard thread only.
 */
export class ShardLink {
  readonly inbound: OneToOneRingBuffer;
  /** READ and UNTAIL records. */
  readonly reads: OneToOneRingBuffer;
  /** LEND, RECALL, DETACH and SETTLE records. */
  readonly consumers: OneToOneRingBuffer;
  readonly outbound: OneToOneRingBuffer;
  readonly #state: Int32Array;
  readonly #gatewayDoorbell: Doorbell;
  readonly #tailCacheBytes: number;
  readonly #replies: { requestId: number; payload: Uint8Array }[] = [];

  constructor(buffers: LinkBuffers, gatewayDoorbell: Doorbell) {
    this.inbound = OneToOneRingBuffer.attach(buffers.inbound);
    this.reads = OneToOneRingBuffer.attach(buffers.reads);
    this.consumers = OneToOneRingBuffer.attach(buffers.consumers);
    this.outbound = OneToOneRingBuffer.attach(buffers.outbound);
    this.#state = new Int32Array(buffers.state);
    this.#gatewayDoorbell = gatewayDoorbell;
    // A small ring keeps half of itself: tests fill it sooner.
    this.#tailCacheBytes = Math.min(BROKER_LIMITS.tailCacheBytes, this.inbound.capacity / 2);
  }

  /** The node shows why this shard refuses publishes; undefined = it takes them. */
  tellRefusal(reason: RefusalReason | undefined): void {
    Atomics.store(this.#state, LINK_STATE.REFUSAL, REFUSALS.indexOf(reason));
  }

  writeAck(
    sessionId: number,
    partition: Partition,
    producerId: number,
    firstSequence: number,
    count: number,
    baseOffset: number,
    durability: number,
  ): boolean {
    const index = this.claim(out.OUTBOUND.ACK, out.ACK_BYTES);
    if (index < 0) return false;
    const words = this.outbound.words;
    const w = (index >> 2) - WORDS_HEADER;
    words[w + out.ACK_SESSION_ID] = sessionId;
    words[w + out.ACK_TOPIC_ID] = partition.topicId;
    words[w + out.ACK_PARTITION] = partition.partition;
    words[w + out.ACK_DURABILITY] = durability;
    writeU64(words, w + out.ACK_PRODUCER_ID, producerId);
    writeU64(words, w + out.ACK_FIRST_SEQUENCE, firstSequence);
    writeU64(words, w + out.ACK_BASE_OFFSET, baseOffset);
    words[w + out.ACK_COUNT] = count;
    words[w + out.ACK_LOG_EPOCH] = partition.logEpoch;
    this.outbound.commit(index);
    return true;
  }

  writePublishError(
    sessionId: number,
    topicId: number,
    partition: number,
    producerId: number,
    firstSequence: number,
    count: number,
    errorNumber: number,
    retryAfterMs: number,
  ): boolean {
    const index = this.claim(out.OUTBOUND.PUBLISH_ERROR, out.ERROR_BYTES);
    if (index < 0) return false;
    const words = this.outbound.words;
    const w = (index >> 2) - WORDS_HEADER;
    words[w + out.ERROR_SESSION_ID] = sessionId;
    words[w + out.ERROR_TOPIC_ID] = topicId;
    words[w + out.ERROR_PARTITION] = partition;
    words[w + out.ERROR_NUMBER] = errorNumber;
    writeU64(words, w + out.ERROR_PRODUCER_ID, producerId);
    writeU64(words, w + out.ERROR_FIRST_SEQUENCE, firstSequence);
    words[w + out.ERROR_COUNT] = count;
    words[w + out.ERROR_RETRY_AFTER_MS] = retryAfterMs;
    this.outbound.commit(index);
    return true;
  }

  writeJoined(streamId: number, sharedStreamId: number, offset: number): boolean {
    const index = this.claim(out.OUTBOUND.JOINED, out.JOINED_BYTES);
    if (index < 0) return false;
    const words = this.outbound.words;
    const w = (index >> 2) - WORDS_HEADER;
    words[w + out.JOINED_STREAM_ID] = streamId;
    words[w + out.JOINED_SHARED_STREAM_ID] = sharedStreamId;
    writeU64(words, w + out.JOINED_OFFSET, offset);
    this.outbound.commit(index);
    return true;
  }

  writeProgress(streamId: number, nextOffset: number, reason: number): boolean {
    return writeProgress(this.outbound, streamId, nextOffset, reason) || this.waitForSpace();
  }

  writeNeedsCredit(streamId: number, bytes: number): boolean {
    return writeNeedsCredit(this.outbound, streamId, bytes) || this.waitForSpace();
  }

  writeReadError(
    streamId: number,
    errorNumber: number,
    logStartOffset: number,
    highWatermark: number,
    logEpoch: number,
  ): boolean {
    return (
      writeReadError(this.outbound, streamId, errorNumber, logStartOffset, highWatermark, logEpoch) ||
      this.waitForSpace()
    );
  }

  /**
   * Whether a read may be answered now: a part of the outbound ring is left to acks, refusals and the tail, or
   * readers that catch up would stop all publishing.
   */
  hasRoomForRead(): boolean {
    return this.outbound.freeSpace() >= this.outbound.capacity * READ_FREE_PART || this.waitForSpace();
  }

  /** Frame bytes that fit into one DELIVER record. */
  get deliverBytesMax(): number {
    return this.outbound.maxMessageLength - (out.DELIVER_FRAME - WORDS_HEADER * 4);
  }

  /** Claims a DELIVER record whose frame has `frameBytes`; index of the FRAME's first byte, or -1. */
  claimDeliver(frameBytes: number): number {
    const index = this.claim(out.OUTBOUND.DELIVER, out.DELIVER_FRAME - WORDS_HEADER * 4 + frameBytes);
    return index < 0 ? -1 : index - WORDS_HEADER * 4 + out.DELIVER_FRAME;
  }

  commitDeliver(
    frameIndex: number,
    streamId: number,
    shared: boolean,
    first: number,
    next: number,
    bytes: number,
  ): void {
    commitDeliver(this.outbound, frameIndex, streamId, shared, first, next, bytes);
  }

  /** Answers a REQUEST. Kept until there is room: gateways bound their requests in flight. */
  reply(requestId: number, payload: Uint8Array): void {
    this.#replies.push({ requestId, payload });
    this.flushReplies();
  }

  /** Answers that found no room yet. */
  get hasReplies(): boolean {
    return this.#replies.length > 0;
  }

  flushReplies(): void {
    while (this.#replies.length > 0) {
      const { requestId, payload } = this.#replies[0] as { requestId: number; payload: Uint8Array };
      if (!writeReply(this.outbound, requestId, payload)) {
        this.waitForSpace();
        return;
      }
      this.#replies.shift();
    }
  }

  /** Makes the answers so far visible and wakes the gateway. True if there were any. */
  publish(): boolean {
    const published = this.outbound.publish();
    if (published) this.#gatewayDoorbell.ring();
    return published;
  }

  /**
   * Gives the rings back: the reads and consumers' records that were handled, and the batches up to the tail cache, or up to
   * `holdPosition` if that is lower: batches that nobody may see yet must still be there when they commit.
   */
  release(holdPosition: number): void {
    let released = false;
    if (this.reads.readPosition > this.reads.headPosition) {
      this.reads.release();
      released = true;
    }
    if (this.consumers.readPosition > this.consumers.headPosition) {
      this.consumers.release();
      released = true;
    }
    const keep = Math.min(this.inbound.readPosition - this.#tailCacheBytes, holdPosition);
    if (keep > this.inbound.headPosition) {
      this.inbound.release(keep);
      released = true;
    }
    if (released && Atomics.exchange(this.#state, LINK_STATE.GATEWAY_WAITS, 0) === 1) {
      this.#gatewayDoorbell.ring();
    }
  }

  /** Claims a record of the outbound ring; the payload's index, or INSUFFICIENT_CAPACITY: this shard is rung when there is room. */
  claim(type: number, bytes: number): number {
    const index = this.outbound.tryClaim(type, bytes);
    if (index >= 0) return index;
    this.waitForSpace();
    // The gateway may have made room between the claim and the flag: without this look nobody would ring.
    return this.outbound.tryClaim(type, bytes);
  }

  /** This shard is rung when the gateway has given some of the outbound ring back. */
  waitForSpace(): false {
    Atomics.store(this.#state, LINK_STATE.SHARD_WAITS, 1);
    return false;
  }
}

// The reader thread answers through a ring of its own and writes the same records.

export function writeProgress(
  ring: OneToOneRingBuffer,
  streamId: number,
  nextOffset: number,
  reason: number,
): boolean {
  const index = ring.tryClaim(out.OUTBOUND.PROGRESS, out.PROGRESS_BYTES);
  if (index < 0) return false;
  const w = (index >> 2) - WORDS_HEADER;
  ring.words[w + out.PROGRESS_STREAM_ID] = streamId;
  ring.words[w + out.PROGRESS_REASON] = reason;
  writeU64(ring.words, w + out.PROGRESS_NEXT_OFFSET, nextOffset);
  ring.commit(index);
  return true;
}

export function writeNeedsCredit(ring: OneToOneRingBuffer, streamId: number, bytes: number): boolean {
  const index = ring.tryClaim(out.OUTBOUND.NEEDS_CREDIT, out.NEEDS_CREDIT_BYTES);
  if (index < 0) return false;
  const w = (index >> 2) - WORDS_HEADER;
  ring.words[w + out.NEEDS_CREDIT_STREAM_ID] = streamId;
  ring.words[w + out.NEEDS_CREDIT_BYTES_NEEDED] = bytes;
  ring.commit(index);
  return true;
}

export function writeReadError(
  ring: OneToOneRingBuffer,
  streamId: number,
  errorNumber: number,
  logStartOffset: number,
  highWatermark: number,
  logEpoch: number,
): boolean {
  const index = ring.tryClaim(out.OUTBOUND.READ_ERROR, out.READ_ERROR_BYTES);
  if (index < 0) return false;
  const w = (index >> 2) - WORDS_HEADER;
  ring.words[w + out.READ_ERROR_STREAM_ID] = streamId;
  ring.words[w + out.READ_ERROR_NUMBER] = errorNumber;
  writeU64(ring.words, w + out.READ_ERROR_LOG_START, logStartOffset);
  writeU64(ring.words, w + out.READ_ERROR_HIGH_WATERMARK, highWatermark);
  ring.words[w + out.READ_ERROR_LOG_EPOCH] = logEpoch;
  ring.commit(index);
  return true;
}

export function writeReply(ring: OneToOneRingBuffer, requestId: number, payload: Uint8Array): boolean {
  const index = ring.tryClaim(out.OUTBOUND.REPLY, out.REPLY_PAYLOAD - WORDS_HEADER * 4 + payload.length);
  if (index < 0) return false;
  const start = index - WORDS_HEADER * 4;
  ring.words[(start >> 2) + out.REPLY_ID] = requestId;
  ring.words[(start >> 2) + out.REPLY_LENGTH] = payload.length;
  copyBytes(ring.bytes, start + out.REPLY_PAYLOAD, payload, 0, payload.length);
  ring.commit(index);
  return true;
}

/** Completes a DELIVER record that was claimed with room for at least `frameBytes` and gives the rest back. */
export function commitDeliver(
  ring: OneToOneRingBuffer,
  frameIndex: number,
  streamId: number,
  shared: boolean,
  firstOffset: number,
  nextOffset: number,
  frameBytes: number,
): void {
  const start = frameIndex - out.DELIVER_FRAME;
  const words = ring.words;
  const w = start >> 2;
  words[w + out.DELIVER_STREAM_ID] = streamId;
  words[w + out.DELIVER_SHARED] = shared ? 1 : 0;
  writeU64(words, w + out.DELIVER_FIRST_OFFSET, firstOffset);
  writeU64(words, w + out.DELIVER_NEXT_OFFSET, nextOffset);
  words[w + out.DELIVER_FRAME_BYTES] = frameBytes;
  ring.commitLength(start + WORDS_HEADER * 4, out.DELIVER_FRAME - WORDS_HEADER * 4 + frameBytes);
}
