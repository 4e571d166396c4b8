import { copyBytes, type Doorbell, INSUFFICIENT_CAPACITY, OneToOneRingBuffer } from "@millrace/core";
import { RECORD_HEADER_BYTES } from "@millrace/core/internal";
import { ENTRY_HEADER_BYTES } from "@millrace/journal/internal";
import { BROKER_LIMITS } from "../limits.ts";
import * as inbound from "../link/inbound-layout.ts";
import { LINK_STATE, type LinkBuffers, REFUSALS, type RefusalReason } from "../link/link-buffers.ts";
import { InboundWriter } from "./inbound-writer.ts";
import { OutboundReader, type ReplyHandler } from "./outbound-reader.ts";
import { type LocalShardWay, RECORD_REFUSED } from "./shard-way.ts";

/** A REQUEST that found no room in the ring. */
interface WaitingRequest {
  readonly requestId: number;
  readonly payload: Uint8Array;
}

/**
 * The gateway's end of its link to one shard: produces into the inbound ring, consumes the outbound one.
 * Gateway thread only. Nothing written is visible to the shard before flush().
 */
export class GatewayLink extends InboundWriter implements LocalShardWay {
  readonly inbound: OneToOneRingBuffer;
  readonly #reads: OneToOneRingBuffer;
  readonly #consumers: OneToOneRingBuffer;
  /** The three above, as inbound-layout.ts numbers them. */
  readonly #rings: readonly OneToOneRingBuffer[];
  readonly outbound: OutboundReader;
  readonly #state: Int32Array;
  readonly #shardDoorbell: Doorbell;
  /** Oldest first. Publishes fill the ring; requests are few, and go in before them once there is room. */
  readonly #waitingRequests: WaitingRequest[] = [];
  #waiting = false;

  constructor(buffers: LinkBuffers, shardDoorbell: Doorbell, replies: ReplyHandler, shardId: number) {
    super();
    this.inbound = OneToOneRingBuffer.attach(buffers.inbound);
    this.#reads = OneToOneRingBuffer.attach(buffers.reads);
    this.#consumers = OneToOneRingBuffer.attach(buffers.consumers);
    this.#rings = [this.inbound, this.#reads, this.#consumers];
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

  /** What claimBatch's index counts in. */
  get bytes(): Buffer {
    return this.inbound.bytes;
  }

  get words(): Int32Array {
    return this.inbound.words;
  }

  /** Why the shard refuses publishes at the moment; undefined while it takes them. */
  get refusal(): RefusalReason | undefined {
    return REFUSALS[Atomics.load(this.#state, LINK_STATE.REFUSAL)];
  }

  /** How full the rings for batches and for answers are, 0 to 1; what the shard keeps for its tail cache is not counted. */
  get fill(): { readonly inboundFill: number; readonly outboundFill: number } {
    const { tailCacheBytes } = BROKER_LIMITS;
    const room = this.inbound.capacity - tailCacheBytes;
    const used = Math.max(0, this.inbound.capacity - this.inbound.freeSpace() - tailCacheBytes);
    return { inboundFill: used / room, outboundFill: this.outbound.fill };
  }

  /** Byte index of a BATCH entry with room for `storedBytes` of payload, or INSUFFICIENT_CAPACITY. */
  claimBatch(storedBytes: number): number {
    // A small batch could find room where a waiting request did not, and reach its partition before it is opened.
    if (this.#waitingRequests.length > 0) return INSUFFICIENT_CAPACITY;
    const index = this.#claim(
      this.inbound,
      inbound.INBOUND.BATCH,
      ENTRY_HEADER_BYTES - RECORD_HEADER_BYTES + storedBytes,
    );
    return index < 0 ? index : index - RECORD_HEADER_BYTES;
  }

  commitBatch(index: number): void {
    this.inbound.commit(index + RECORD_HEADER_BYTES);
  }

  /** Hands a request over, now or as soon as the ring has room: a full ring is no reason to refuse it. */
  request(requestId: number, payload: Uint8Array): void {
    if (this.#waitingRequests.length > 0 || !this.writeRequest(requestId, payload)) {
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
      if (!this.writeRequest(requestId, payload)) break;
      sent += 1;
    }
    requests.splice(0, sent);
    if (sent > 0) this.flush();
    return requests.length === 0;
  }

  /**
   * Copies a record that a gateway of another process wrote into the ring for its type, as it is.
   * @returns 0, INSUFFICIENT_CAPACITY or RECORD_REFUSED, see LocalShardWay
   */
  forward(type: number, bytes: Buffer, index: number, length: number): number {
    const ring = this.#rings[inbound.ringOf(type)];
    const payload = length - RECORD_HEADER_BYTES;
    if (ring === undefined || payload > ring.maxMessageLength || payload < 0) return RECORD_REFUSED;
    // As claimBatch: the node's own requests open the partitions for which batches come.
    if (type === inbound.INBOUND.BATCH && this.#waitingRequests.length > 0) return INSUFFICIENT_CAPACITY;
    const claim = this.#claim(ring, type, payload);
    if (claim < 0) return claim;
    if (type === inbound.INBOUND.REQUEST) this.#publishOthers();
    copyBytes(ring.bytes, claim, bytes, index + RECORD_HEADER_BYTES, payload);
    ring.commit(claim);
    return 0;
  }

  protected override claimRecord(type: number, bytes: number): number {
    const index = this.#claim(this.#ringOf(type), type, bytes);
    return index < 0 ? index : index - RECORD_HEADER_BYTES;
  }

  protected override recordBytes(type: number): Buffer {
    return this.#ringOf(type).bytes;
  }

  protected override recordWords(type: number): Int32Array {
    return this.#ringOf(type).words;
  }

  protected override commitRecord(type: number, index: number): void {
    if (type === inbound.INBOUND.REQUEST) this.#publishOthers();
    this.#ringOf(type).commit(index + RECORD_HEADER_BYTES);
  }

  /** The shard may see a request as soon as it is committed, and then what was said before in the other rings. */
  #publishOthers(): void {
    this.#reads.publish();
    this.#consumers.publish();
  }

  #ringOf(type: number): OneToOneRingBuffer {
    return this.#rings[inbound.ringOf(type)] as OneToOneRingBuffer;
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
