import { Doorbell, OneToOneRingBuffer } from "@millrace/core";
import { RECORD_HEADER_BYTES } from "@millrace/core/internal";
import { ENTRY_HEADER_BYTES, writeU64 } from "@millrace/journal/internal";
import { crc32 } from "@millrace/protocol/internal";
import * as inbound from "../../src/link/inbound-layout.ts";
import { LINK_STATE, type LinkBuffers } from "../../src/link/link-buffers.ts";
import * as out from "../../src/link/outbound-layout.ts";
import { GatewayLink } from "../../src/node/gateway-link.ts";
import type { ReplyHandler } from "../../src/node/outbound-reader.ts";
import {
  entryBaseSequence,
  entryCount,
  entryLength,
  entryPartition,
  entryProducerId,
  entrySessionId,
  entryTopicId,
} from "../../src/shard/entry-fields.ts";
import { ShardLink } from "../../src/shard/shard-link.ts";

const HEADER_WORDS = 2;

/** What a shard was told, in the order of each ring. */
export interface Heard {
  readonly batches: { readonly sessionId: number; readonly sequence: number; readonly crc: number }[];
  readonly requests: number[];
  readonly reads: { readonly streamId: number; readonly maxBytes: number }[];
  readonly untailed: number[];
  /** [type, consumerId, settleId or messages] */
  readonly consumers: [number, number, number][];
}

/** A shard's end of its rings, in the same thread: acknowledges, answers and settles whatever comes, unless it is stopped. */
export class FakeShard {
  readonly shardId: number;
  readonly link: GatewayLink;
  readonly end: ShardLink;
  readonly heard: Heard = { batches: [], requests: [], reads: [], untailed: [], consumers: [] };
  /** Bytes of the frame that a read gets, unless it asks for less; 0: reads are not answered. */
  frameBytes = 64;
  readonly #doorbell: Doorbell;
  #isStopped = false;
  #isPlanned = false;

  constructor(shardId: number, ringBytes: number, gatewayDoorbell: Doorbell, replies: ReplyHandler) {
    this.shardId = shardId;
    const buffers: LinkBuffers = {
      inbound: OneToOneRingBuffer.allocate(ringBytes),
      reads: OneToOneRingBuffer.allocate(ringBytes),
      consumers: OneToOneRingBuffer.allocate(ringBytes),
      outbound: OneToOneRingBuffer.allocate(16 * 1024 * 1024),
      state: new SharedArrayBuffer(LINK_STATE.WORDS * 4),
    };
    this.#doorbell = Doorbell.attach(Doorbell.allocate(), () => this.#plan());
    this.link = new GatewayLink(buffers, this.#doorbell, replies, shardId);
    this.end = new ShardLink(buffers, gatewayDoorbell);
    this.#doorbell.park();
  }

  /** It takes nothing any more, as a shard whose disk hangs. */
  stop(): void {
    this.#isStopped = true;
  }

  continue(): void {
    this.#isStopped = false;
    this.#plan();
  }

  /** Says something of its own, with room for `payload` bytes; `fill` gets the words and the index of the record's first. */
  say(type: number, payload: number, fill: (words: Int32Array, w: number) => void): boolean {
    const index = this.end.claim(type, payload);
    if (index < 0) return false;
    fill(this.end.outbound.words, (index >> 2) - HEADER_WORDS);
    this.end.outbound.commit(index);
    this.end.publish();
    return true;
  }

  /** A tail delivery. */
  deliver(sharedStreamId: number, firstOffset: number, frameBytes: number): boolean {
    return this.#deliver(sharedStreamId, true, firstOffset, frameBytes);
  }

  join(streamId: number, sharedStreamId: number, offset: number): boolean {
    return this.say(out.OUTBOUND.JOINED, out.JOINED_BYTES, (words, w) => {
      words[w + out.JOINED_STREAM_ID] = streamId;
      words[w + out.JOINED_SHARED_STREAM_ID] = sharedStreamId;
      writeU64(words, w + out.JOINED_OFFSET, offset);
    });
  }

  #plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    setImmediate(() => {
      this.#isPlanned = false;
      this.#doorbell.cancelSleep();
      if (!this.#isStopped) this.#work();
      this.#doorbell.park();
    });
  }

  #work(): void {
    const { end } = this;
    this.#drain(end.reads, (type, w) => this.#read(type, w));
    this.#drain(end.consumers, (type, w) => this.#consumer(type, w));
    this.#drain(end.inbound, (type, w) => this.#inbound(type, w));
    end.publish();
    end.release(end.inbound.readPosition);
  }

  #drain(ring: OneToOneRingBuffer, handle: (type: number, w: number) => void): void {
    for (ring.poll(); ; ring.advance()) {
      const index = ring.next();
      if (index < 0 || (ring === this.end.reads && !this.end.hasRoomForRead())) return;
      handle(ring.words[(index >> 2) + 1] as number, index >> 2);
    }
  }

  #inbound(type: number, w: number): void {
    const { words, bytes } = this.end.inbound;
    const index = w << 2;
    if (type === inbound.INBOUND.REQUEST) {
      const requestId = words[w + inbound.REQUEST_ID] as number;
      const start = index + inbound.REQUEST_PAYLOAD;
      const payload = bytes.subarray(start, start + (words[w + inbound.REQUEST_LENGTH] as number));
      this.heard.requests.push(requestId);
      this.end.reply(requestId, Uint8Array.prototype.slice.call(payload));
      return;
    }
    const sessionId = entrySessionId(words, index);
    const sequence = entryBaseSequence(words, index);
    const stored = bytes.subarray(index + ENTRY_HEADER_BYTES, index + entryLength(words, index));
    this.heard.batches.push({ sessionId, sequence, crc: crc32(stored, 0, stored.length) });
    this.say(out.OUTBOUND.ACK, out.ACK_BYTES, (target, at) => {
      target[at + out.ACK_SESSION_ID] = sessionId;
      target[at + out.ACK_TOPIC_ID] = entryTopicId(words, index);
      target[at + out.ACK_PARTITION] = entryPartition(words, index);
      writeU64(target, at + out.ACK_PRODUCER_ID, entryProducerId(words, index));
      writeU64(target, at + out.ACK_FIRST_SEQUENCE, sequence);
      target[at + out.ACK_COUNT] = entryCount(words, index);
    });
  }

  #read(type: number, w: number): void {
    const { words } = this.end.reads;
    if (type === inbound.INBOUND.UNTAIL) {
      this.heard.untailed.push(words[w + inbound.UNTAIL_PARTITION] as number);
      return;
    }
    const streamId = words[w + inbound.READ_STREAM_ID] as number;
    const maxBytes = words[w + inbound.READ_MAX_BYTES] as number;
    this.heard.reads.push({ streamId, maxBytes });
    if (this.frameBytes > 0) this.#deliver(streamId, false, 0, Math.min(maxBytes, this.frameBytes));
  }

  #consumer(type: number, w: number): void {
    const { words } = this.end.consumers;
    const consumerId = words[w + inbound.CONSUMER_ID] as number;
    this.heard.consumers.push([type, consumerId, words[w + inbound.SETTLE_ID] as number]);
    if (type !== inbound.INBOUND.SETTLE) return;
    this.say(out.OUTBOUND.SETTLED, 4 * out.SETTLED_MESSAGES + 4 - RECORD_HEADER_BYTES, (target, at) => {
      target[at + out.SETTLED_CONSUMER_ID] = consumerId;
      target[at + out.SETTLED_ID] = words[w + inbound.SETTLE_ID] as number;
      target[at + out.SETTLED_OUTCOME] = 0;
      target[at + out.SETTLED_MESSAGES] = words[w + inbound.SETTLE_COUNT] as number;
    });
  }

  #deliver(streamId: number, shared: boolean, firstOffset: number, frameBytes: number): boolean {
    const payload = out.DELIVER_FRAME - RECORD_HEADER_BYTES + frameBytes;
    return this.say(out.OUTBOUND.DELIVER, payload, (words, w) => {
      words[w + out.DELIVER_STREAM_ID] = streamId;
      words[w + out.DELIVER_SHARED] = shared ? 1 : 0;
      writeU64(words, w + out.DELIVER_FIRST_OFFSET, firstOffset);
      writeU64(words, w + out.DELIVER_NEXT_OFFSET, firstOffset + 1);
      words[w + out.DELIVER_FRAME_BYTES] = frameBytes;
    });
  }
}
