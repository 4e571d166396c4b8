import { copyBytes } from "@millrace/core";
import { RECORD_HEADER_BYTES } from "@millrace/core/internal";
import { writeU64 } from "@millrace/journal/internal";
import * as inbound from "../link/inbound-layout.ts";

/**
 * Writes what a gateway says to a shard, but for batches, wherever the shard is: see inbound-layout.ts for the records and
 * their rings.
 */
export abstract class InboundWriter {
  /** Opens a record with `bytes` of payload in the ring for its type. @returns the index of its HEADER, or INSUFFICIENT_CAPACITY */
  protected abstract claimRecord(type: number, bytes: number): number;
  /** The memory of the record that was opened last. */
  protected abstract recordBytes(type: number): Buffer;
  protected abstract recordWords(type: number): Int32Array;
  protected abstract commitRecord(type: number, index: number): void;

  read(
    streamId: number,
    sharedStreamId: number,
    topicId: number,
    partition: number,
    offset: number,
    maxBytes: number,
  ): number {
    const index = this.claimRecord(inbound.INBOUND.READ, inbound.READ_BYTES);
    if (index < 0) return index;
    const words = this.recordWords(inbound.INBOUND.READ);
    const w = index >> 2;
    words[w + inbound.READ_STREAM_ID] = streamId;
    words[w + inbound.READ_SHARED_STREAM_ID] = sharedStreamId;
    words[w + inbound.READ_TOPIC_ID] = topicId;
    words[w + inbound.READ_PARTITION] = partition;
    writeU64(words, w + inbound.READ_OFFSET, offset);
    words[w + inbound.READ_MAX_BYTES] = maxBytes;
    this.commitRecord(inbound.INBOUND.READ, index);
    return 0;
  }

  /** Ends the tail deliveries of a partition to one gateway. */
  untail(topicId: number, partition: number, gateway: number): number {
    const index = this.claimRecord(inbound.INBOUND.UNTAIL, inbound.UNTAIL_BYTES);
    if (index < 0) return index;
    const words = this.recordWords(inbound.INBOUND.UNTAIL);
    const w = index >> 2;
    words[w + inbound.UNTAIL_TOPIC_ID] = topicId;
    words[w + inbound.UNTAIL_PARTITION] = partition;
    words[w + inbound.UNTAIL_GATEWAY] = gateway;
    this.commitRecord(inbound.INBOUND.UNTAIL, index);
    return 0;
  }

  /** Credit for a consumer, as the next three for GatewayPort. */
  lend(consumerId: number, subscriptionId: number, messages: number, bytes: number): number {
    const index = this.claimRecord(inbound.INBOUND.LEND, inbound.LEND_BYTES);
    if (index < 0) return index;
    const words = this.recordWords(inbound.INBOUND.LEND);
    const w = index >> 2;
    words[w + inbound.CONSUMER_ID] = consumerId;
    words[w + inbound.LEND_SUBSCRIPTION_ID] = subscriptionId;
    words[w + inbound.LEND_MESSAGES] = messages;
    words[w + inbound.LEND_CREDIT_BYTES] = bytes;
    this.commitRecord(inbound.INBOUND.LEND, index);
    return 0;
  }

  recall(consumerId: number): number {
    return this.#ofConsumer(inbound.INBOUND.RECALL, inbound.RECALL_BYTES, consumerId);
  }

  detach(consumerId: number): number {
    return this.#ofConsumer(inbound.INBOUND.DETACH, inbound.DETACH_BYTES, consumerId);
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
    const reasonBytes = reason === undefined ? 0 : reason.length;
    const type = inbound.INBOUND.SETTLE;
    const index = this.claimRecord(type, inbound.SETTLE_REASON - RECORD_HEADER_BYTES + reasonBytes);
    if (index < 0) return index;
    const words = this.recordWords(type);
    const w = index >> 2;
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
      copyBytes(this.recordBytes(type), index + inbound.SETTLE_REASON, reason, 0, reasonBytes);
    }
    this.commitRecord(type, index);
    return 0;
  }

  /** @returns whether there was room for it */
  protected writeRequest(requestId: number, payload: Uint8Array): boolean {
    const type = inbound.INBOUND.REQUEST;
    const index = this.claimRecord(type, inbound.REQUEST_PAYLOAD - RECORD_HEADER_BYTES + payload.length);
    if (index < 0) return false;
    const words = this.recordWords(type);
    words[(index >> 2) + inbound.REQUEST_ID] = requestId;
    words[(index >> 2) + inbound.REQUEST_LENGTH] = payload.length;
    copyBytes(this.recordBytes(type), index + inbound.REQUEST_PAYLOAD, payload, 0, payload.length);
    this.commitRecord(type, index);
    return true;
  }

  #ofConsumer(type: number, bytes: number, consumerId: number): number {
    const index = this.claimRecord(type, bytes);
    if (index < 0) return index;
    this.recordWords(type)[(index >> 2) + inbound.CONSUMER_ID] = consumerId;
    this.commitRecord(type, index);
    return 0;
  }
}
