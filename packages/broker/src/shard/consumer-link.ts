import { copyBytes, type OneToOneRingBuffer } from "@millrace/core";
import { Packr } from "msgpackr";
import * as out from "../link/outbound-layout.ts";
import type { ShardLink } from "./shard-link.ts";

const packr = new Packr({ useRecords: false });

const RING_HEADER_BYTES = 8;
/** The most that one record of the consumers' ring is answered with, and something to spare. */
const ANSWER_BYTES = 64;

/**
 * What a shard tells gateways about consumers: writers into the outbound ring, which return false when it is full.
 * Shard thread only.
 */
export class ConsumerLink {
  readonly #link: ShardLink;
  readonly #ring: OneToOneRingBuffer;

  constructor(link: ShardLink) {
    this.#link = link;
    this.#ring = link.outbound;
  }

  /** Records of gateways: LEND, RECALL, DETACH and SETTLE. */
  get inbound(): OneToOneRingBuffer {
    return this.#link.consumers;
  }

  /** The LEASED frame is put together here. */
  get bytes(): Buffer {
    return this.#ring.bytes;
  }

  /** How many records of the consumers' ring can be answered for certain. */
  answersThatFit(): number {
    const fit = Math.floor(this.#ring.freeSpace() / ANSWER_BYTES);
    if (fit === 0) this.#link.waitForSpace();
    return fit;
  }

  /** Whether leases may go out now: they leave as much to acks and refusals as reads do. */
  hasRoomForLeases(): boolean {
    return this.#link.hasRoomForRead();
  }

  /** For every gateway. */
  writeAvailable(subscriptionId: number): boolean {
    const index = this.#link.claim(out.OUTBOUND.AVAILABLE, out.AVAILABLE_BYTES);
    if (index < 0) return false;
    this.#ring.words[this.#word(index) + out.AVAILABLE_SUBSCRIPTION_ID] = subscriptionId;
    this.#ring.commit(index);
    return true;
  }

  writeEmpty(consumerId: number, messages: number, bytes: number): boolean {
    const index = this.#link.claim(out.OUTBOUND.EMPTY, out.EMPTY_BYTES);
    if (index < 0) return false;
    const words = this.#ring.words;
    const w = this.#word(index);
    words[w + out.EMPTY_CONSUMER_ID] = consumerId;
    words[w + out.EMPTY_MESSAGES] = messages;
    words[w + out.EMPTY_CREDIT_BYTES] = bytes;
    this.#ring.commit(index);
    return true;
  }

  writeSettled(consumerId: number, settleId: number, outcome: number, messages: number): boolean {
    const index = this.#link.claim(out.OUTBOUND.SETTLED, out.SETTLED_BYTES);
    if (index < 0) return false;
    const words = this.#ring.words;
    const w = this.#word(index);
    words[w + out.SETTLED_CONSUMER_ID] = consumerId;
    words[w + out.SETTLED_ID] = settleId;
    words[w + out.SETTLED_OUTCOME] = outcome;
    words[w + out.SETTLED_MESSAGES] = messages;
    this.#ring.commit(index);
    return true;
  }

  /** A rare event: `[kind, ...arguments]`. @param to the consumer that it is about, or NOTICE_TO_ALL */
  writeNotice(notice: readonly unknown[], to: number): boolean {
    const payload = packr.pack(notice);
    const bytes = out.NOTICE_PAYLOAD - RING_HEADER_BYTES + payload.length;
    const index = this.#link.claim(out.OUTBOUND.NOTICE, bytes);
    if (index < 0) return false;
    this.#ring.words[this.#word(index) + out.NOTICE_LENGTH] = payload.length;
    this.#ring.words[this.#word(index) + out.NOTICE_TO] = to;
    const start = index - RING_HEADER_BYTES + out.NOTICE_PAYLOAD;
    copyBytes(this.#ring.bytes, start, payload, 0, payload.length);
    this.#ring.commit(index);
    return true;
  }

  /** Frame bytes that fit into one LEASED record. */
  get leasedBytesMax(): number {
    return this.#ring.maxMessageLength - (out.LEASED_FRAME - RING_HEADER_BYTES);
  }

  /** Claims a LEASED record with room for a frame of `frameBytes`; index of the FRAME's first byte, or -1. */
  claimLeased(frameBytes: number): number {
    const index = this.#link.claim(out.OUTBOUND.LEASED, out.LEASED_FRAME - RING_HEADER_BYTES + frameBytes);
    return index < 0 ? -1 : index - RING_HEADER_BYTES + out.LEASED_FRAME;
  }

  /** Completes it; the frame has become `frameBytes` long. */
  commitLeased(frame: number, consumerId: number, messages: number, frameBytes: number): void {
    const start = frame - out.LEASED_FRAME;
    const words = this.#ring.words;
    const w = start >> 2;
    words[w + out.LEASED_CONSUMER_ID] = consumerId;
    words[w + out.LEASED_MESSAGES] = messages;
    words[w + out.LEASED_FRAME_BYTES] = frameBytes;
    const length = out.LEASED_FRAME - RING_HEADER_BYTES + frameBytes;
    this.#ring.commitLength(start + RING_HEADER_BYTES, length);
  }

  /** Gives the claim back. */
  abortLeased(frame: number): void {
    this.#ring.abort(frame - out.LEASED_FRAME + RING_HEADER_BYTES);
  }

  #word(index: number): number {
    return (index - RING_HEADER_BYTES) >> 2;
  }
}
