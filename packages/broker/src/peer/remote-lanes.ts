import { readU64 } from "@millrace/journal/internal";
import { BROKER_LIMITS } from "../limits.ts";
import type { ShardWay } from "../node/shard-way.ts";
import {
  CREDIT_LIMIT_WORD,
  LANE_DOWN_REASONS,
  LANE_ID_WORD,
  LANE_NUMBER_RECORD_BYTES,
  LANE_REASON_WORD,
  LANE_RECORD_BYTES,
  LANE_RING_WORD,
  LINK,
  PeerProtocolError,
  READER_LANE,
} from "./link-layout.ts";
import type { LaneStatus } from "./link-status.ts";
import type { PeerConnection } from "./peer-connection.ts";
import { RemoteShardWay } from "./remote-shard-way.ts";

/** A shard that is to be used over the link. */
interface WantedShard {
  readonly shardId: number;
  readonly epoch: number;
  /** Of the lane that was asked for; 0: none is asked for now. */
  laneId: number;
  /** Once the lane is up. */
  way: RemoteShardWay | undefined;
  retryMs: number;
  retryTimer: NodeJS.Timeout | undefined;
}

export interface RemoteLanesEvents {
  /** The way to a shard, or undefined when it has ended. */
  onLane(shardId: number, way: ShardWay | undefined): void;
  /** A lane was refused or closed by its owner. */
  onLaneDown(shardId: number, reason: string): void;
  /** Plans a turn. */
  schedule(): void;
}

/**
 * The lanes of a link, on the side that dials: asks for one for each shard that is wanted, anew as long as it is refused, and
 * has a way for each that is up.
 */
export class RemoteLanes {
  readonly #events: RemoteLanesEvents;
  readonly #wanted: Map<number, WantedShard> = new Map();
  readonly #byLane: Map<number, WantedShard> = new Map();
  #connection: PeerConnection | undefined;
  #windows: readonly [number, number, number] = [0, 0, 0];
  #lastLaneId = READER_LANE;

  constructor(events: RemoteLanesEvents) {
    this.#events = events;
  }

  open(shardId: number, epoch: number): void {
    const known = this.#wanted.get(shardId);
    if (known?.epoch === epoch) return;
    if (known !== undefined) this.drop(shardId);
    const wanted: WantedShard = {
      shardId,
      epoch,
      laneId: 0,
      way: undefined,
      retryMs: BROKER_LIMITS.peerLaneRetryMsMin,
      retryTimer: undefined,
    };
    this.#wanted.set(shardId, wanted);
    this.#ask(wanted);
  }

  drop(shardId: number): void {
    const wanted = this.#wanted.get(shardId);
    if (wanted === undefined) return;
    this.#wanted.delete(shardId);
    clearTimeout(wanted.retryTimer);
    if (wanted.laneId !== 0) this.#connection?.writeWords(LINK.LANE_CLOSE, wanted.laneId, 0);
    this.#end(wanted);
  }

  /** The link is up: lanes are asked for. */
  linkUp(connection: PeerConnection, windows: readonly [number, number, number]): void {
    this.#connection = connection;
    this.#windows = windows;
    for (const wanted of this.#wanted.values()) this.#ask(wanted);
  }

  /** All ways end; what is wanted is asked for when the link is up again. */
  linkDown(): void {
    this.#connection = undefined;
    this.#lastLaneId = READER_LANE;
    for (const wanted of [...this.#wanted.values()]) {
      clearTimeout(wanted.retryTimer);
      wanted.retryMs = BROKER_LIMITS.peerLaneRetryMsMin;
      this.#end(wanted);
    }
  }

  /** The shard of a lane that is up; undefined for one that is not, any more. */
  shardOf(laneId: number): number | undefined {
    const wanted = this.#byLane.get(laneId);
    return wanted?.way === undefined ? undefined : wanted.shardId;
  }

  /** LANE_UP, LANE_DOWN and CREDIT. @throws PeerProtocolError */
  onRecord(type: number, words: Int32Array, index: number, length: number): void {
    const w = index >> 2;
    if (length < (type === LINK.CREDIT ? LANE_NUMBER_RECORD_BYTES : LANE_RECORD_BYTES)) {
      throw new PeerProtocolError(`a record of type ${type} is cut short: length=${length}`);
    }
    // Whoever was dropped meanwhile is not meant any more.
    const wanted = this.#byLane.get(words[w + LANE_ID_WORD] as number);
    if (wanted === undefined) return;
    if (type === LINK.LANE_UP) this.#up(wanted);
    else if (type === LINK.LANE_DOWN) this.#down(wanted, words[w + LANE_REASON_WORD] as number);
    else wanted.way?.raise(words[w + LANE_RING_WORD] as number, readU64(words, w + CREDIT_LIMIT_WORD));
  }

  socketDrained(): void {
    for (const { way } of this.#byLane.values()) way?.socketDrained();
  }

  status(): LaneStatus[] {
    return [...this.#wanted.values()].map(({ shardId, epoch, way }) => ({
      shardId,
      epoch,
      state: way === undefined ? "opening" : "up",
      creditBytes: way?.creditBytes ?? 0,
      parkedBytes: 0,
    }));
  }

  #ask(wanted: WantedShard): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#lastLaneId += 1;
    wanted.laneId = this.#lastLaneId;
    this.#byLane.set(wanted.laneId, wanted);
    connection.writeNumber(LINK.LANE_OPEN, wanted.laneId, wanted.shardId, wanted.epoch);
  }

  #up(wanted: WantedShard): void {
    const connection = this.#connection;
    if (connection === undefined || wanted.way !== undefined) return;
    wanted.retryMs = BROKER_LIMITS.peerLaneRetryMsMin;
    wanted.way = new RemoteShardWay(connection, wanted.laneId, this.#windows, () => this.#events.schedule());
    this.#events.onLane(wanted.shardId, wanted.way);
  }

  #down(wanted: WantedShard, reason: number): void {
    wanted.retryTimer = setTimeout(() => this.#ask(wanted), wanted.retryMs);
    wanted.retryMs = Math.min(wanted.retryMs * 2, BROKER_LIMITS.peerLaneRetryMsMax);
    this.#end(wanted);
    this.#events.onLaneDown(wanted.shardId, LANE_DOWN_REASONS[reason] ?? "unknown");
  }

  #end(wanted: WantedShard): void {
    this.#byLane.delete(wanted.laneId);
    wanted.laneId = 0;
    const { way } = wanted;
    if (way === undefined) return;
    wanted.way = undefined;
    way.down();
    this.#events.onLane(wanted.shardId, undefined);
  }
}
