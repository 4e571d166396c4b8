import { OneToOneRingBuffer } from "@millrace/core";
import { readU64 } from "@millrace/journal/internal";
import { Packr } from "msgpackr";
import { gatewayOf } from "../link/gateway-ids.ts";
import * as out from "../link/outbound-layout.ts";
import type { GatewayHandler } from "./gateway-handler.ts";

const packr = new Packr({ useRecords: false });

/** The reader thread's ring: what names a shard there is not about consumers. */
export const NO_SHARD = -1;

/** Takes the answers to REQUEST records. */
export interface ReplyHandler {
  onReply(requestId: number, payload: Uint8Array): void;
}

/**
 * Takes the records of other gateways. `index` is where the record's header stands in `bytes`, `length` its bytes (header
 * included, not padded); both are ring memory, valid until the call returns. `shardId` is NO_SHARD for what the reader
 * thread says. Neither may throw or wait.
 */
export interface GuestRoutes {
  forward(gateway: number, shardId: number, bytes: Buffer, index: number, length: number): void;
  /** For every gateway; the own one is told beside this. */
  broadcast(shardId: number, bytes: Buffer, index: number, length: number): void;
}

/** Whom a record is for, where several gateways use the same shards. */
export interface OutboundRouting {
  /** This process's own. */
  readonly gateway: number;
  readonly guests: GuestRoutes;
}

/** Reads an outbound ring, a shard's or the reader thread's, and calls the gateway's handler for each record. */
export class OutboundReader {
  readonly #shardId: number;
  readonly #ring: OneToOneRingBuffer;
  readonly #replies: ReplyHandler;
  readonly #onReleased: () => void;

  /** @param shardId of the shard that writes here, or NO_SHARD */
  constructor(buffer: SharedArrayBuffer, replies: ReplyHandler, onReleased: () => void, shardId: number) {
    this.#shardId = shardId;
    this.#ring = OneToOneRingBuffer.attach(buffer);
    this.#replies = replies;
    this.#onReleased = onReleased;
  }

  isEmpty(): boolean {
    return this.#ring.poll() === 0;
  }

  /** How full it is, 0 to 1. */
  get fill(): number {
    return this.#ring.poll() / this.#ring.capacity;
  }

  /**
   * Handles records until the ring is empty or `bytesMax` were read.
   * @param routing undefined: all of them are the handler's
   * @returns the number of records
   */
  drain(handler: GatewayHandler, bytesMax: number, routing?: OutboundRouting): number {
    const ring = this.#ring;
    if (ring.poll() === 0) return 0;
    const { bytes, words } = ring;
    const stopAt = ring.readPosition + bytesMax;
    let handled = 0;
    while (ring.readPosition < stopAt) {
      const index = ring.next();
      if (index < 0) break;
      if (routing === undefined || this.#isOwn(routing, index)) {
        dispatchOutbound(handler, this.#replies, this.#shardId, words, bytes, index);
      }
      ring.advance();
      handled += 1;
    }
    ring.release();
    this.#onReleased();
    return handled;
  }

  /** Hands the record to other gateways, as far as it is for them. @returns whether it is for the own one */
  #isOwn({ gateway, guests }: OutboundRouting, index: number): boolean {
    const { bytes, words } = this.#ring;
    const w = index >> 2;
    const type = words[w + 1];
    const length = words[w] as number;
    const id = words[w + (type === out.OUTBOUND.NOTICE ? out.NOTICE_TO : out.OUTBOUND_ID)] as number;
    if (type === out.OUTBOUND.AVAILABLE || id === out.NOTICE_TO_ALL) {
      guests.broadcast(this.#shardId, bytes, index, length);
      return true;
    }
    const to = gatewayOf(id);
    if (to === gateway) return true;
    guests.forward(to, this.#shardId, bytes, index, length);
    return false;
  }
}

/**
 * Tells the gateway of one record of an outbound ring.
 * @param shardId of the shard that wrote it, or NO_SHARD
 * @param words the same memory as `bytes`
 * @param index of the record's header in `bytes`
 */
export function dispatchOutbound(
  handler: GatewayHandler,
  replies: ReplyHandler,
  shardId: number,
  words: Int32Array,
  bytes: Buffer,
  index: number,
): void {
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
        bytes,
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
      replies.onReply(
        words[w + out.REPLY_ID] as number,
        Uint8Array.prototype.slice.call(bytes, start, start + length),
      );
      break;
    }
    case out.OUTBOUND.LEASED:
      handler.onLeased(
        shardId,
        (words[w + out.LEASED_CONSUMER_ID] as number) >>> 0,
        words[w + out.LEASED_MESSAGES] as number,
        bytes,
        index + out.LEASED_FRAME,
        words[w + out.LEASED_FRAME_BYTES] as number,
      );
      break;
    case out.OUTBOUND.SETTLED:
      handler.onSettled(
        shardId,
        (words[w + out.SETTLED_CONSUMER_ID] as number) >>> 0,
        (words[w + out.SETTLED_ID] as number) >>> 0,
        words[w + out.SETTLED_OUTCOME] as number,
        words[w + out.SETTLED_MESSAGES] as number,
      );
      break;
    case out.OUTBOUND.AVAILABLE:
      handler.onAvailable(shardId, (words[w + out.AVAILABLE_SUBSCRIPTION_ID] as number) >>> 0);
      break;
    case out.OUTBOUND.EMPTY:
      handler.onEmpty(
        shardId,
        (words[w + out.EMPTY_CONSUMER_ID] as number) >>> 0,
        words[w + out.EMPTY_MESSAGES] as number,
        words[w + out.EMPTY_CREDIT_BYTES] as number,
      );
      break;
    case out.OUTBOUND.NOTICE: {
      const start = index + out.NOTICE_PAYLOAD;
      const length = words[w + out.NOTICE_LENGTH] as number;
      const notice: unknown = packr.unpack(Uint8Array.prototype.slice.call(bytes, start, start + length));
      handler.onNotice(shardId, notice as readonly unknown[]);
      break;
    }
    default:
      throw new Error(`unknown record in an outbound ring: type=${words[w + 1]}`);
  }
}
