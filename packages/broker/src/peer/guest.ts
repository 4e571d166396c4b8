import { copyBytes } from "@millrace/core";
import { RECORD_HEADER_BYTES } from "@millrace/core/internal";
import { readU64, writeU64 } from "@millrace/journal/internal";
import { ERROR_CODES } from "@millrace/protocol";
import { Packr } from "msgpackr";
import { BROKER_LIMITS } from "../limits.ts";
import { REQUEST_ID, RINGS } from "../link/inbound-layout.ts";
import * as out from "../link/outbound-layout.ts";
import type { Logger } from "../logger.ts";
import { NO_SHARD } from "../node/outbound-reader.ts";
import { GuestAnswers } from "./guest-answers.ts";
import { GuestLane } from "./guest-lane.ts";
import type { GuestLedger } from "./guest-ledger.ts";
import type { GuestShards } from "./guest-shards.ts";
import type { Hello } from "./handshake.ts";
import {
  DOWN_CLOSED,
  DOWN_EPOCH,
  DOWN_NOT_SERVED,
  LANE_EPOCH_WORD,
  LANE_ID_WORD,
  LANE_NUMBER_RECORD_BYTES,
  LANE_RECORD_BYTES,
  LANE_RING_WORD,
  LANE_SHARD_WORD,
  LINK,
  LINK_TYPE_MIN,
  PeerProtocolError,
  READER_LANE,
} from "./link-layout.ts";
import type { LinkStatus } from "./link-status.ts";
import type { PeerConnection } from "./peer-connection.ts";
import type { RpcHandlers } from "./rpc-handlers.ts";
import { RpcService } from "./rpc-service.ts";

/** Byte position of a record's type. */
const TYPE_AT = 4;

/** One of these answers each read; DELIVER and PROGRESS also reach tail groups, whose ids no read has. */
const READ_ANSWERS: ReadonlySet<number> = new Set([
  out.OUTBOUND.DELIVER,
  out.OUTBOUND.JOINED,
  out.OUTBOUND.PROGRESS,
  out.OUTBOUND.READ_ERROR,
  out.OUTBOUND.NEEDS_CREDIT,
]);

const packr = new Packr({ useRecords: false });

export interface GuestOptions {
  readonly hello: Hello;
  readonly shards: GuestShards;
  readonly ledger: GuestLedger;
  readonly rpc: RpcHandlers;
  readonly logger: Logger;
}

/** The gateway of another node, as this node's shards know it: one connection, from its welcome to its end. */
export class Guest {
  readonly hello: Hello;
  readonly #connection: PeerConnection;
  readonly #options: GuestOptions;
  readonly #service: RpcService;
  readonly #answers: GuestAnswers;
  readonly #lanes: Map<number, GuestLane> = new Map();
  /** Index = shard. */
  readonly #byShard: (GuestLane | undefined)[] = [];
  /** Tail groups that were told of a gap: nothing more is for them until somebody has joined again. */
  readonly #gaps: Set<number> = new Set();
  /** Of the ring records that come now. */
  #lane: GuestLane | undefined;
  #ring = 0;

  constructor(connection: PeerConnection, options: GuestOptions) {
    this.hello = options.hello;
    this.#connection = connection;
    this.#options = options;
    const { nodeId, run } = options.hello;
    this.#service = new RpcService(options.rpc, { nodeId, run }, options.logger);
    this.#answers = new GuestAnswers(() => connection.output.queuedBytes);
  }

  // What the guest says.

  /** @throws PeerProtocolError */
  onRecord(type: number, words: Int32Array, bytes: Buffer, index: number, length: number): void {
    if (type < LINK_TYPE_MIN) {
      // Of a lane that has ended nothing is taken any more.
      const lane = this.#lane;
      if (!lane?.isUp || lane.isClosing) return;
      const isTaken = lane.take(this.#ring, type, words, bytes, index, length);
      if (!isTaken) this.#refuseRequest(lane, words[(index >> 2) + REQUEST_ID] as number);
      return;
    }
    const w = index >> 2;
    if (length < (type === LINK.LANE_OPEN ? LANE_NUMBER_RECORD_BYTES : LANE_RECORD_BYTES)) {
      throw new PeerProtocolError(`a record of type ${type} is cut short: length=${length}`);
    }
    const laneId = words[w + LANE_ID_WORD] as number;
    switch (type) {
      case LINK.LANE:
        this.#lane = this.#lanes.get(laneId);
        this.#ring = words[w + LANE_RING_WORD] as number;
        break;
      case LINK.LANE_OPEN:
        this.#open(laneId, words[w + LANE_SHARD_WORD] as number, readU64(words, w + LANE_EPOCH_WORD));
        break;
      case LINK.LANE_CLOSE:
        this.#close(laneId);
        break;
      case LINK.RPC:
        this.#service.onCall(this.#connection, words, bytes, index, length);
        break;
      default:
        throw new PeerProtocolError(`no guest says this: type=${type}`);
    }
  }

  /** The records of one read have been taken. */
  onReadEnd(): void {
    for (const lane of this.#lanes.values()) this.#finish(lane);
  }

  /** The guest has read some of what it is owed. */
  onWritten(): void {
    if (!this.#answers.isAwaited) return;
    this.#answers.isAwaited = false;
    for (const lane of this.#lanes.values()) {
      while (this.#resume(lane));
    }
  }

  /** The connection is gone: the shards are told to forget the guest. */
  onClosed(): void {
    for (const lane of [...this.#lanes.values()]) {
      const wasUp = lane.isUp;
      this.#end(lane);
      if (wasUp) this.#options.ledger.ended(this.hello.nodeId, lane.shardId);
    }
  }

  // What its shards say.

  /** A record for this guest. */
  forward(shardId: number, bytes: Buffer, index: number, length: number): void {
    const lane = this.#byShard[shardId];
    if (shardId !== NO_SHARD && lane === undefined) return;
    const type = bytes.readInt32LE(index + TYPE_AT);
    if (type === out.OUTBOUND.DELIVER && bytes.readInt32LE(index + 4 * out.DELIVER_SHARED) === 1) {
      if (!this.#mayTail(bytes, index, lane)) return;
    } else if (this.#gaps.size > 0 && type === out.OUTBOUND.JOINED) {
      this.#gaps.delete(bytes.readInt32LE(index + 4 * out.JOINED_SHARED_STREAM_ID));
    }
    if (READ_ANSWERS.has(type)) {
      const isKnown = this.#answers.answered(bytes.readInt32LE(index + 4 * out.OUTBOUND_ID));
      // The reader thread may be late: what was asked over a lane that has ended is answered no more.
      if (shardId === NO_SHARD && !isKnown) return;
    }
    this.#write(lane, type, bytes, index, length);
  }

  /** A record for every gateway. */
  broadcast(shardId: number, bytes: Buffer, index: number, length: number): void {
    const lane = this.#byShard[shardId];
    if (lane !== undefined) this.#write(lane, bytes.readInt32LE(index + TYPE_AT), bytes, index, length);
  }

  // What this node says.

  push(event: string, payload: unknown): void {
    const packed = packr.pack([event, payload]);
    if (packed.length > BROKER_LIMITS.peerRecordBytesMax / 2) {
      throw new RangeError(`too large for a link: event=${event} bytes=${packed.length}`);
    }
    this.#connection.writeMessage(LINK.PUSH, packed);
  }

  /** A shard's rings have room again. @returns whether more could be copied at once */
  onSpace(shardId: number): boolean {
    const lane = this.#byShard[shardId];
    let hasMore = false;
    if (lane !== undefined) {
      this.#connection.guard(() => {
        hasMore = this.#resume(lane);
      });
    }
    return hasMore;
  }

  /** The shard is being closed: see GuestLane. */
  laneClosing(shardId: number): void {
    this.#byShard[shardId]?.closing();
  }

  /** This node serves the shard no more. */
  laneDown(shardId: number): void {
    for (const lane of [...this.#lanes.values()]) {
      if (lane.shardId !== shardId) continue;
      this.#end(lane);
      this.#connection.writeWords(LINK.LANE_DOWN, lane.laneId, DOWN_CLOSED);
    }
  }

  close(reason: string): void {
    this.#connection.close(reason);
  }

  end(reason: string): void {
    this.#connection.end(reason);
  }

  status(): LinkStatus {
    const connection = this.#connection;
    return {
      direction: "in",
      nodeId: this.hello.nodeId,
      run: this.hello.run,
      state: "up",
      rttMs: undefined,
      receivedBytes: connection.receivedBytes,
      sentBytes: connection.sentBytes,
      queuedBytes: connection.output.queuedBytes,
      lanes: [...this.#lanes.values()].map((lane) => ({
        shardId: lane.shardId,
        epoch: lane.epoch,
        state: lane.isUp ? "up" : "opening",
        creditBytes: lane.openBytes,
        parkedBytes: lane.parkedBytes,
      })),
      lastError: undefined,
    };
  }

  #open(laneId: number, shardId: number, epoch: number): void {
    const { shards, ledger } = this.#options;
    if (laneId <= READER_LANE || this.#lanes.has(laneId) || this.#lanes.size >= BROKER_LIMITS.shardsMax) {
      throw new PeerProtocolError(`no lane can be opened: laneId=${laneId} lanes=${this.#lanes.size}`);
    }
    const way = shards.way(shardId);
    if (way === undefined || shards.epoch(shardId) !== epoch) {
      this.#refuse(laneId, shardId, epoch);
      return;
    }
    for (const other of this.#lanes.values()) {
      if (other.shardId === shardId) throw new PeerProtocolError(`shard ${shardId} has a lane already`);
    }
    const lane = new GuestLane(laneId, shardId, epoch, this.hello.nodeId, way, this.#answers);
    this.#lanes.set(laneId, lane);
    const forgotten = ledger.forgotten(this.hello.nodeId, shardId);
    if (forgotten === undefined) this.#up(lane);
    else void forgotten.then(() => this.#up(lane));
  }

  #up(lane: GuestLane): void {
    const { shards, ledger } = this.#options;
    const { laneId, shardId, epoch, way } = lane;
    // Closed by one of the two meanwhile, or the connection is gone.
    if (this.#lanes.get(laneId) !== lane) return;
    if (shards.way(shardId) !== way || shards.epoch(shardId) !== epoch) {
      this.#lanes.delete(laneId);
      this.#refuse(laneId, shardId, epoch);
      return;
    }
    ledger.used(this.hello.nodeId, shardId, way);
    lane.isUp = true;
    this.#byShard[shardId] = lane;
    this.#connection.writeWords(LINK.LANE_UP, laneId, 0);
  }

  #refuse(laneId: number, shardId: number, epoch: number): void {
    const { shards } = this.#options;
    const isOther = shards.way(shardId) !== undefined && shards.epoch(shardId) !== epoch;
    this.#connection.writeWords(LINK.LANE_DOWN, laneId, isOther ? DOWN_EPOCH : DOWN_NOT_SERVED);
  }

  #close(laneId: number): void {
    const lane = this.#lanes.get(laneId);
    if (lane === undefined) return;
    const wasUp = lane.isUp;
    this.#end(lane);
    if (wasUp) this.#options.ledger.ended(this.hello.nodeId, lane.shardId);
    // Its reads are not answered any more: others may have waited for that.
    this.onWritten();
  }

  #end(lane: GuestLane): void {
    // What was copied before counts as said.
    lane.flush();
    lane.end();
    this.#lanes.delete(lane.laneId);
    if (this.#byShard[lane.shardId] === lane) this.#byShard[lane.shardId] = undefined;
    if (this.#lane === lane) this.#lane = undefined;
  }

  /** The guest takes itself for the owner: for it the shard is not there any more. */
  #refuseRequest({ laneId, shardId }: GuestLane, requestId: number): void {
    const message = `shard ${shardId} is another node's: only its owner may ask that`;
    const payload = packr.pack([ERROR_CODES.SHARD_RESTARTED.code, message, { shardId }]);
    const { output } = this.#connection;
    this.#connection.select(laneId, 0);
    const claim = output.claim(out.OUTBOUND.REPLY, out.REPLY_PAYLOAD - RECORD_HEADER_BYTES + payload.length);
    const w = claim >> 2;
    output.words[w + out.REPLY_ID] = requestId;
    output.words[w + out.REPLY_LENGTH] = payload.length;
    copyBytes(output.bytes, claim + out.REPLY_PAYLOAD, payload, 0, payload.length);
    output.commit(claim);
    this.#connection.planWrite();
  }

  #resume(lane: GuestLane): boolean {
    if (!lane.isUp || lane.isClosing) return false;
    const hasMore = lane.resume();
    this.#finish(lane);
    return hasMore;
  }

  /** Tells the shard of what was copied, and the guest of its credit. */
  #finish(lane: GuestLane): void {
    if (!lane.isUp || lane.isClosing) return;
    lane.flush();
    for (let ring = 0; ring < RINGS; ring += 1) {
      const limit = lane.grant(ring);
      if (limit >= 0) this.#connection.writeNumber(LINK.CREDIT, lane.laneId, ring, limit);
    }
  }

  /**
   * Whether a tail delivery goes to the guest. One that does not read would have all of them kept for it: instead its tail
   * group is told of a gap, and its members read for themselves, which is bounded, and join again.
   */
  #mayTail(bytes: Buffer, index: number, lane: GuestLane | undefined): boolean {
    const sharedStreamId = bytes.readInt32LE(index + 4 * out.DELIVER_STREAM_ID);
    if (this.#gaps.has(sharedStreamId)) return false;
    // What this turn has written does not count: all shards together may say much at once.
    if (this.#connection.output.stalledBytes < BROKER_LIMITS.peerTailBytesMax) return true;
    this.#gaps.add(sharedStreamId);
    const { output } = this.#connection;
    this.#connection.select(lane?.laneId ?? READER_LANE, 0);
    const claim = output.claim(out.OUTBOUND.PROGRESS, out.PROGRESS_BYTES);
    const w = claim >> 2;
    output.words[w + out.PROGRESS_STREAM_ID] = sharedStreamId;
    output.words[w + out.PROGRESS_REASON] = out.PROGRESS_GAP;
    const nextOffset = Number(bytes.readBigUInt64LE(index + 4 * out.DELIVER_NEXT_OFFSET));
    writeU64(output.words, w + out.PROGRESS_NEXT_OFFSET, nextOffset);
    output.commit(claim);
    this.#connection.planWrite();
    return false;
  }

  #write(lane: GuestLane | undefined, type: number, bytes: Buffer, index: number, length: number): void {
    const connection = this.#connection;
    const { output } = connection;
    connection.select(lane?.laneId ?? READER_LANE, 0);
    const claim = output.claim(type, length - RECORD_HEADER_BYTES);
    const start = claim + RECORD_HEADER_BYTES;
    copyBytes(output.bytes, start, bytes, index + RECORD_HEADER_BYTES, length - RECORD_HEADER_BYTES);
    output.commit(claim);
    connection.planWrite();
  }
}
