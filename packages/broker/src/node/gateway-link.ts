import { copyBytes, type Doorbell, INSUFFICIENT_CAPACITY, OneToOneRingBuffer } from "@millrace/core";
import { ENTRY_HEADER_BYTES, readU64, writeU64 } from "@millrace/journal/internal";
import * as inbound from "../link/inbound-layout.ts";
import { LINK_STATE, type LinkBuffers, REFUSALS, type RefusalReason } from "../link/link-buffers.ts";
import * as out from "../link/outbound-layout.ts";
import type { GatewayHandler } from "./gateway-handler.ts";

const RING_HEADER_BYTES = 8;

/** A REQUEST that found no room in the ring. */
interface WaitingRequest {
  readonly requestId: number;
  readonly payload: Uint8Array;
}

/** Takes the answers to REQUEST records. */
export interface ReplyHandler {
  onReply(requestId: number, payload: Uint8Array): void;
}

/**
 * The gateway's end of its link to one shard: produces into the inbound ring, consumes the outbound one.
 * Gateway thread only. Nothing written is visible to the shard before flush().
 */
export class GatewayLink {
  readonly inbound: OneToOneRingBuffer;
  readonly #reads: OneToOneRingBuffer;
  readonly outbound: OutboundReader;
  readonly #state: Int32Array;
  readonly #shardDoorbell: Doorbell;
  /** Oldest first. Publishes fill the ring; requests are few, and go in before them once there is room. */
  readonly #waitingRequests: WaitingRequest[] = [];
  #waiting = false;

  constructor(buffers: LinkBuffers, shardDoorbell: Doorbell, replies: ReplyHandler) {
    this.inbound = OneToOneRingBuffer.attach(buffers.inbound);
    this.#reads = OneToOneRingBuffer.attach(buffers.reads);
    this.#state = new Int32Array(buffers.state);
    this.#shardDoorbell = shardDoorbell;
    this.outbound = new OutboundReader(buffers.outbound, replies, () => {
      if (Atomics.exchange(this.#state, LINK_STATE.SHARD_WAITS, 0) === 1) shardDoorbell.ring();
    });
  }

  /** Why the shard refuses publishes at the moment; undefined while it takes them. */
  get refusal(): RefusalReason | undefined {
    return REFUSALS[Atomics.load(this.#state, LINK_STATE.REFUSAL)];
  }

  /** Byte index of a BATCH entry with room for `storedBytes` of payload, or INSUFFICIENT_CAPACITY. */
  claimBatch(storedBytes: number): number {
    // A small batch could find room where a waiting request did not, and reach its partition before it is opened.
    if (this.#waitingRequests.length > 0) return INSUFFICIENT_CAPACITY;
    const index = this.#claim(
      this.inbound,
      inbound.INBOUND.BATCH,
      ENTRY_HEADER_BYTES - RING_HEADER_BYTES + storedBytes,
    );
    return index < 0 ? index : index - RING_HEADER_BYTES;
  }

  commitBatch(index: number): void {
    this.inbound.commit(index + RING_HEADER_BYTES);
  }

  read(
    streamId: number,
    sharedStreamId: number,
    topicId: number,
    partition: number,
    offset: number,
    maxBytes: number,
  ): number {
    const index = this.#claim(this.#reads, inbound.INBOUND.READ, inbound.READ_BYTES);
    if (index < 0) return index;
    const words = this.#reads.words;
    const w = (index - RING_HEADER_BYTES) >> 2;
    words[w + inbound.READ_STREAM_ID] = streamId;
    words[w + inbound.READ_SHARED_STREAM_ID] = sharedStreamId;
    words[w + inbound.READ_TOPIC_ID] = topicId;
    words[w + inbound.READ_PARTITION] = partition;
    writeU64(words, w + inbound.READ_OFFSET, offset);
    words[w + inbound.READ_MAX_BYTES] = maxBytes;
    this.#reads.commit(index);
    return 0;
  }

  untail(topicId: number, partition: number): number {
    const index = this.#claim(this.#reads, inbound.INBOUND.UNTAIL, inbound.UNTAIL_BYTES);
    if (index < 0) return index;
    const w = (index - RING_HEADER_BYTES) >> 2;
    this.#reads.words[w + inbound.UNTAIL_TOPIC_ID] = topicId;
    this.#reads.words[w + inbound.UNTAIL_PARTITION] = partition;
    this.#reads.commit(index);
    return 0;
  }

  /** Hands a request over, now or as soon as the ring has room: a full ring is no reason to refuse it. */
  request(requestId: number, payload: Uint8Array): void {
    if (this.#waitingRequests.length > 0 || !this.#writeRequest(requestId, payload)) {
      this.#waitingRequests.push({ requestId, payload });
    }
  }

  /** Requests that wait for room. */
  get waitingRequests(): number {
    return this.#waitingRequests.length;
  }

  /** Makes what was written visible to the shard and wakes it. */
  flush(): void {
    const read = this.#reads.publish();
    if (this.inbound.publish() || read) this.#shardDoorbell.ring();
  }

  /** True once after a failed claim, when the shard has made room; requests that waited for it have it first. */
  takeSpace(): boolean {
    if (!this.#waiting || Atomics.load(this.#state, LINK_STATE.GATEWAY_WAITS) !== 0) return false;
    this.#waiting = false;
    const requests = this.#waitingRequests;
    let sent = 0;
    for (const { requestId, payload } of requests) {
      if (!this.#writeRequest(requestId, payload)) break;
      sent += 1;
    }
    requests.splice(0, sent);
    if (sent > 0) this.flush();
    return requests.length === 0;
  }

  #writeRequest(requestId: number, payload: Uint8Array): boolean {
    const index = this.#claim(
      this.inbound,
      inbound.INBOUND.REQUEST,
      inbound.REQUEST_PAYLOAD - RING_HEADER_BYTES + payload.length,
    );
    if (index < 0) return false;
    const start = index - RING_HEADER_BYTES;
    const ring = this.inbound;
    ring.words[(start >> 2) + inbound.REQUEST_ID] = requestId;
    ring.words[(start >> 2) + inbound.REQUEST_LENGTH] = payload.length;
    copyBytes(ring.bytes, start + inbound.REQUEST_PAYLOAD, payload, 0, payload.length);
    ring.commit(index);
    return true;
  }

  #claim(ring: OneToOneRingBuffer, type: number, bytes: number): number {
    const index = ring.tryClaim(type, bytes);
    if (index >= 0) return index;
    Atomics.store(this.#state, LINK_STATE.GATEWAY_WAITS, 1);
    this.#waiting = true;
    // The shard may have released between the claim and the flag: without this look nobody would ring.
    const again = ring.tryClaim(type, bytes);
    if (again >= 0) return again;
    // A sleeping shard must see what fills the ring.
    this.#shardDoorbell.ring();
    return INSUFFICIENT_CAPACITY;
  }
}

/** Reads an outbound ring, a shard's or the reader thread's, and calls the gateway's handler for each record. */
export class OutboundReader {
  readonly #ring: OneToOneRingBuffer;
  readonly #replies: ReplyHandler;
  readonly #onReleased: () => void;

  constructor(buffer: SharedArrayBuffer, replies: ReplyHandler, onReleased: () => void) {
    this.#ring = OneToOneRingBuffer.attach(buffer);
    this.#replies = replies;
    this.#onReleased = onReleased;
  }

  isEmpty(): boolean {
    return this.#ring.poll() === 0;
  }

  /** Handles records until the ring is empty or `bytesMax` were read. Returns the number of records. */
  drain(handler: GatewayHandler, bytesMax: number): number {
    const ring = this.#ring;
    if (ring.poll() === 0) return 0;
    const stopAt = ring.readPosition + bytesMax;
    let handled = 0;
    while (ring.readPosition < stopAt) {
      const index = ring.next();
      if (index < 0) break;
      this.#dispatch(handler, index);
      ring.advance();
      handled += 1;
    }
    ring.release();
    this.#onReleased();
    return handled;
  }

  #dispatch(handler: GatewayHandler, index: number): void {
    const words = this.#ring.words;
    const w = index >> 2;
    switch (words[w + 1]) {
      case out.OUTBOUND.ACK:
        handler.onAck(
          words[w + out.ACK_SESSION_ID] as number,
          (words[w + out.ACK_TOPIC_ID] as number) >>> 0,
          words[w + out.ACK_PARTITION] as number,
          readU64(words, w + out.ACK_PRODUCER_ID),
          readU64(words, w + out.ACK_FIRST_SEQUENCE),
          (words[w + out.ACK_COUNT] as number) >>> 0,
          readU64(words, w + out.ACK_BASE_OFFSET),
          words[w + out.ACK_LOG_EPOCH] as number,
          words[w + out.ACK_DURABILITY] as number,
        );
        break;
      case out.OUTBOUND.PUBLISH_ERROR:
        handler.onPublishError(
          words[w + out.ERROR_SESSION_ID] as number,
          (words[w + out.ERROR_TOPIC_ID] as number) >>> 0,
          words[w + out.ERROR_PARTITION] as number,
          readU64(words, w + out.ERROR_PRODUCER_ID),
          readU64(words, w + out.ERROR_FIRST_SEQUENCE),
          (words[w + out.ERROR_COUNT] as number) >>> 0,
          words[w + out.ERROR_NUMBER] as number,
          words[w + out.ERROR_RETRY_AFTER_MS] as number,
        );
        break;
      case out.OUTBOUND.DELIVER:
        handler.onDeliver(
          (words[w + out.DELIVER_STREAM_ID] as number) >>> 0,
          words[w + out.DELIVER_SHARED] === 1,
          readU64(words, w + out.DELIVER_FIRST_OFFSET),
          readU64(words, w + out.DELIVER_NEXT_OFFSET),
          this.#ring.bytes,
          index + out.DELIVER_FRAME,
          words[w + out.DELIVER_FRAME_BYTES] as number,
        );
        break;
      case out.OUTBOUND.JOINED:
        handler.onJoined(
          (words[w + out.JOINED_STREAM_ID] as number) >>> 0,
          (words[w + out.JOINED_SHARED_STREAM_ID] as number) >>> 0,
          readU64(words, w + out.JOINED_OFFSET),
        );
        break;
      case out.OUTBOUND.PROGRESS:
        handler.onProgress(
          (words[w + out.PROGRESS_STREAM_ID] as number) >>> 0,
          readU64(words, w + out.PROGRESS_NEXT_OFFSET),
          out.PROGRESS_REASONS[words[w + out.PROGRESS_REASON] as number] ?? "gap",
        );
        break;
      case out.OUTBOUND.READ_ERROR:
        handler.onReadError(
          (words[w + out.READ_ERROR_STREAM_ID] as number) >>> 0,
          words[w + out.READ_ERROR_NUMBER] as number,
          readU64(words, w + out.READ_ERROR_LOG_START),
          readU64(words, w + out.READ_ERROR_HIGH_WATERMARK),
          words[w + out.READ_ERROR_LOG_EPOCH] as number,
        );
        break;
      case out.OUTBOUND.NEEDS_CREDIT:
        handler.onNeedsCredit(
          (words[w + out.NEEDS_CREDIT_STREAM_ID] as number) >>> 0,
          words[w + out.NEEDS_CREDIT_BYTES_NEEDED] as number,
        );
        break;
      case out.OUTBOUND.REPLY: {
        const start = index + out.REPLY_PAYLOAD;
        const length = words[w + out.REPLY_LENGTH] as number;
        this.#replies.onReply(
          words[w + out.REPLY_ID] as number,
          Uint8Array.prototype.slice.call(this.#ring.bytes, start, start + length),
        );
        break;
      }
      default:
        throw new Error(`unknown record in an outbound ring: type=${words[w + 1]}`);
    }
  }
}
