import { INSUFFICIENT_CAPACITY } from "@millrace/core";
import { alignRecord, RECORD_HEADER_BYTES } from "@millrace/core/internal";
import { ENTRY_HEADER_BYTES } from "@millrace/journal/internal";
import { BROKER_LIMITS } from "../limits.ts";
import { gatewayOf } from "../link/gateway-ids.ts";
import * as inbound from "../link/inbound-layout.ts";
import { type LocalShardWay, RECORD_REFUSED } from "../node/shard-way.ts";
import { entrySessionId } from "../shard/entry-fields.ts";
import type { GuestAnswers } from "./guest-answers.ts";
import { LaneWindow } from "./lane-credit.ts";
import { PeerProtocolError } from "./link-layout.ts";
import { isOwnerRequest } from "./owner-requests.ts";
import { ParkedRecords } from "./parked-records.ts";
import { RING_WINDOWS } from "./ring-windows.ts";

/** Payload bytes that records of each type have at least: what is read of them here and in the shard. */
const PAYLOAD_BYTES_MIN: Readonly<Record<number, number>> = {
  [inbound.INBOUND.BATCH]: ENTRY_HEADER_BYTES - RECORD_HEADER_BYTES,
  [inbound.INBOUND.REQUEST]: inbound.REQUEST_PAYLOAD - RECORD_HEADER_BYTES,
  [inbound.INBOUND.READ]: inbound.READ_BYTES,
  [inbound.INBOUND.UNTAIL]: inbound.UNTAIL_BYTES,
  [inbound.INBOUND.LEND]: inbound.LEND_BYTES,
  [inbound.INBOUND.RECALL]: inbound.RECALL_BYTES,
  [inbound.INBOUND.DETACH]: inbound.DETACH_BYTES,
  [inbound.INBOUND.SETTLE]: inbound.SETTLE_REASON - RECORD_HEADER_BYTES,
};

/** One of the three rings, as the lane sees it. */
interface LaneRing {
  readonly window: LaneWindow;
  readonly parked: ParkedRecords;
}

/**
 * A guest's lane to one shard, on the side of the shard: copies records into the shard's rings as they came. Where a ring is
 * full, or the guest has not read what it asked for before, they wait here in their order, up to the credit the guest has;
 * each ring for itself.
 */
export class GuestLane {
  readonly laneId: number;
  readonly shardId: number;
  readonly epoch: number;
  readonly way: LocalShardWay;
  isUp = false;
  /** The shard is being closed: it is given nothing more, and what it still says goes to the guest. */
  isClosing = false;
  /** Something was copied since the last flush. */
  isDirty = false;
  readonly #gateway: number;
  readonly #answers: GuestAnswers;
  readonly #rings: readonly LaneRing[];

  constructor(
    laneId: number,
    shardId: number,
    epoch: number,
    gateway: number,
    way: LocalShardWay,
    answers: GuestAnswers,
  ) {
    this.laneId = laneId;
    this.shardId = shardId;
    this.epoch = epoch;
    this.way = way;
    this.#gateway = gateway;
    this.#answers = answers;
    this.#rings = RING_WINDOWS.map((bytes) => ({
      window: new LaneWindow(bytes),
      parked: new ParkedRecords(),
    }));
  }

  get parkedBytes(): number {
    return this.#rings.reduce((sum, { parked }) => sum + parked.byteLength, 0);
  }

  /** Bytes of batches that were granted and did not come yet. */
  get openBytes(): number {
    return (this.#rings[inbound.RING_INBOUND] as LaneRing).window.openBytes;
  }

  /**
   * A record came for one of the shard's rings.
   * @returns false: it asks what only the shard's owner may ask, and the shard hears nothing of it
   * @throws PeerProtocolError when it is none of this guest's, or of that ring, or there was no credit for it
   */
  take(ring: number, type: number, words: Int32Array, bytes: Buffer, index: number, length: number): boolean {
    this.#check(ring, type, words, index, length);
    const { window, parked } = this.#rings[ring] as LaneRing;
    window.receive(alignRecord(length));
    if (type === inbound.INBOUND.REQUEST && isOwnerRequest(bytes, index, length)) {
      window.take(alignRecord(length));
      return false;
    }
    if (!parked.isEmpty || !this.#place(ring, type, words, bytes, index, length)) {
      parked.push(bytes, index, length);
      return true;
    }
    window.take(alignRecord(length));
    return true;
  }

  /**
   * There is room in the shard's rings, or the guest has read: what waited goes on, a part of it, since others wait too.
   * @returns whether there is more that was not refused
   */
  resume(): boolean {
    let hasMore = false;
    for (let ring = 0; ring < inbound.RINGS; ring += 1) {
      const { window, parked } = this.#rings[ring] as LaneRing;
      const leave = parked.byteLength - BROKER_LIMITS.peerResumeBytes;
      while (!parked.isEmpty) {
        if (parked.byteLength <= leave) {
          hasMore = true;
          break;
        }
        const { words, bytes, index } = parked;
        const length = words[index >> 2] as number;
        if (!this.#place(ring, words[(index >> 2) + 1] as number, words, bytes, index, length)) break;
        parked.shift();
        window.take(alignRecord(length));
      }
    }
    return hasMore;
  }

  /** The new limit of a ring to tell the guest, or -1. */
  grant(ring: number): number {
    return (this.#rings[ring] as LaneRing).window.grant();
  }

  flush(): void {
    if (!this.isDirty) return;
    this.isDirty = false;
    this.way.flush();
  }

  /** What comes from now on, and what waits, is dropped: the guest hears of it when the lane ends. */
  closing(): void {
    this.flush();
    this.isClosing = true;
    for (const { parked } of this.#rings) parked.clear();
  }

  /** The lane has ended: what waits is dropped. */
  end(): void {
    this.isUp = false;
    this.isDirty = false;
    for (const { parked } of this.#rings) parked.clear();
    this.#answers.forgetShard(this.shardId);
  }

  /** False: it has to wait. */
  #place(
    ring: number,
    type: number,
    words: Int32Array,
    bytes: Buffer,
    index: number,
    length: number,
  ): boolean {
    const isRead = type === inbound.INBOUND.READ;
    if (ring === inbound.RING_READS && isRead) {
      if (!this.#answers.hasRoomFor(words[(index >> 2) + inbound.READ_MAX_BYTES] as number)) return false;
    } else if (ring === inbound.RING_CONSUMERS && !this.#answers.hasRoom()) {
      return false;
    }
    const outcome = this.way.forward(type, bytes, index, length);
    if (outcome === INSUFFICIENT_CAPACITY) return false;
    if (outcome === RECORD_REFUSED) {
      throw new PeerProtocolError(`no ring takes such a record: type=${type} length=${length}`);
    }
    this.isDirty = true;
    if (isRead) {
      const w = index >> 2;
      this.#answers.asked(
        this.shardId,
        words[w + inbound.READ_STREAM_ID] as number,
        words[w + inbound.READ_MAX_BYTES] as number,
      );
    }
    return true;
  }

  #check(ring: number, type: number, words: Int32Array, index: number, length: number): void {
    const payloadMin = PAYLOAD_BYTES_MIN[type];
    if (
      payloadMin === undefined ||
      inbound.ringOf(type) !== ring ||
      length < RECORD_HEADER_BYTES + payloadMin
    ) {
      throw new PeerProtocolError(`no record of a gateway: type=${type} ring=${ring} length=${length}`);
    }
    const w = index >> 2;
    let gateway: number;
    if (type === inbound.INBOUND.BATCH) gateway = gatewayOf(entrySessionId(words, index));
    else if (type === inbound.INBOUND.UNTAIL) gateway = words[w + inbound.UNTAIL_GATEWAY] as number;
    // Of all others word 2 is an id that names the gateway.
    else gateway = gatewayOf(words[w + inbound.CONSUMER_ID] as number);
    if (gateway !== this.#gateway) {
      throw new PeerProtocolError(
        `a record of another gateway: type=${type} gateway=${gateway} expected=${this.#gateway}`,
      );
    }
  }
}
