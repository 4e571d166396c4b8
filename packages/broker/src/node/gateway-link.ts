import { copyBytes, type Doorbell, INSUFFICIENT_CAPACITY, OneToOneRingBuffer } from "@millrace/core";
import { ENTRY_HEADER_BYTES, writeU64 } from "@millrace/journal/internal";
import * as inbound from "../link/inbound-layout.ts";
import { LINK_STATE, type LinkBuffers, REFUSALS, type RefusalReason } from "../link/link-buffers.ts";
import { OutboundReader, type ReplyHandler } from "./outbound-reader.ts";

const RING_HEADER_BYTES = 8;

/** A REQUEST that found no room in the ring. */
interface WaitingRequest {
  readonly requestId: number;
  readonly payload: Uint8Array;
}

/**
 * The gateway's end of its link to one shard: produces into the inbound ring, consumes the outbound one.
 * Gateway thread only. Nothing written is visible to the shard before flush().
 */
export class GatewayLink {
  readonly inbound: OneToOneRingBuffer;
  readonly #reads: OneToOneRingBuffer;
  readonly #consumers: OneToOneRingBuffer;
  readonly outbound: OutboundReader;
  readonly #state: Int32Array;
  readonly #shardDoorbell: Doorbell;
  /** Oldest first. Publishes fill the ring; requests are few, and go in before them once there is room. */
  readonly #waitingRequests: WaitingRequest[] = [];
  #waiting = false;

  constructor(buffers: LinkBuffers, shardDoorbell: Doorbell, replies: ReplyHandler, shardId: number) {
    this.inbound = OneToOneRingBuffer.attach(buffers.inbound);
    this.#reads = OneToOneRingBuffer.attach(buffers.reads);
    this.#consumers = OneToOneRingBuffer.attach(buffers.consumers);
    this.#state = new Int32Array(buffers.state);
    this.#shardDoorbell = shardDoorbell;
    this.outbound = new OutboundReader(
      buffers.outbound,
      replies,
      () => {
        if (Atomics.exchange(this.#state, LINK_STATE.SHARD_WAITS, 0) === 1) shardDoorbell.ring();
      },
      shardId,
    );
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

  /** Credit for a consumer, as the next three for GatewayPort. */
  lend(consumerId: number, subscriptionId: number, messages: number, bytes: number): number {
    const index = this.#claim(this.#consumers, inbound.INBOUND.LEND, inbound.LEND_BYTES);
    if (index < 0) return index;
    const words = this.#consumers.words;
    const w = (index - RING_HEADER_BYTES) >> 2;
    words[w + inbound.CONSUMER_ID] = consumerId;
    words[w + inbound.LEND_SUBSCRIPTION_ID] = subscriptionId;
    words[w + inbound.LEND_MESSAGES] = messages;
    words[w + inbound.LEND_CREDIT_BYTES] = bytes;
    this.#consumers.commit(index);
    return 0;
  }

  recall(consumerId: number): number {
    return this.#consumerRecord(inbound.INBOUND.RECALL, inbound.RECALL_BYTES, consumerId);
  }

  detach(consumerId: number): number {
    return this.#consumerRecord(inbound.INBOUND.DETACH, inbound.DETACH_BYTES, consumerId);
  }

  settle(
    consumerId: number,
    settleId: number,
    action: number,
    partition: number,
    leaseEpoch: number,
    leaseCounter: number,
    firstOffset: number,
    count: number,
    argument: number,
    reason: Uint8Array | undefined,
  ): number {
    const ring = this.#consumers;
    const reasonBytes = reason === undefined ? 0 : reason.length;
    const index = this.#claim(
      ring,
      inbound.INBOUND.SETTLE,
      inbound.SETTLE_REASON - RING_HEADER_BYTES + reasonBytes,
    );
    if (index < 0) return index;
    const words = ring.words;
    const w = (index - RING_HEADER_BYTES) >> 2;
    words[w + inbound.CONSUMER_ID] = consumerId;
    words[w + inbound.SETTLE_ID] = settleId;
    words[w + inbound.SETTLE_ACTION] = action;
    words[w + inbound.SETTLE_PARTITION] = partition;
    words[w + inbound.SETTLE_LEASE_EPOCH] = leaseEpoch;
    writeU64(words, w + inbound.SETTLE_LEASE_COUNTER, leaseCounter);
    writeU64(words, w + inbound.SETTLE_FIRST_OFFSET, firstOffset);
    words[w + inbound.SETTLE_COUNT] = count;
    words[w + inbound.SETTLE_ARGUMENT] = argument;
    words[w + inbound.SETTLE_REASON_BYTES] = reasonBytes;
    if (reason !== undefined) {
      copyBytes(ring.bytes, index - RING_HEADER_BYTES + inbound.SETTLE_REASON, reason, 0, reasonBytes);
    }
    ring.commit(index);
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
    const consumed = this.#consumers.publish();
    if (this.inbound.publish() || read || consumed) this.#shardDoorbell.ring();
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

  #consumerRecord(type: number, bytes: number, consumerId: number): number {
    const index = this.#claim(this.#consumers, type, bytes);
    if (index < 0) return index;
    this.#consumers.words[((index - RING_HEADER_BYTES) >> 2) + inbound.CONSUMER_ID] = consumerId;
    this.#consumers.commit(index);
    return 0;
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
