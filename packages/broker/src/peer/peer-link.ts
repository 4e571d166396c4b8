import { randomInt } from "node:crypto";
import { BROKER_LIMITS } from "../limits.ts";
import { OUTBOUND } from "../link/outbound-layout.ts";
import type { Logger } from "../logger.ts";
import type { GatewayHandler } from "../node/gateway-handler.ts";
import { dispatchOutbound, NO_SHARD, type ReplyHandler } from "../node/outbound-reader.ts";
import type { ShardWay } from "../node/shard-way.ts";
import { SYSTEM_CLOCK } from "../system-clock.ts";
import { dial } from "./dial.ts";
import { arrayOf, readMessage, readRefusal, readWelcome, writeHello } from "./handshake.ts";
import {
  LANE_ID_WORD,
  LANE_RECORD_BYTES,
  LINK,
  LINK_TYPE_MIN,
  PeerProtocolError,
  READER_LANE,
} from "./link-layout.ts";
import type { LinkStatus } from "./link-status.ts";
import type { PeerAddress } from "./peer-address.ts";
import { PeerConnection } from "./peer-connection.ts";
import { RemoteLanes } from "./remote-lanes.ts";
import { linkLost, RpcCalls, tooBusy } from "./rpc-calls.ts";

/** Dials of this process, by all its links: also of two links to one node, one after the other, the later dial counts higher. */
let attempts = 0;

export interface PeerLinkOptions {
  readonly address: PeerAddress;
  readonly clusterId: string;
  /** Of this node. */
  readonly nodeId: number;
  readonly run: number;
  /** Whom the address belongs to. */
  readonly remoteNodeId: number;
  /** Whom the shards' records are for; undefined: nobody yet, and all but answers to requests is dropped. */
  readonly handler: () => GatewayHandler | undefined;
  readonly replies: ReplyHandler;
  /** The way to a shard, or undefined when it has ended: what was in flight there is lost. */
  readonly onLane: (shardId: number, way: ShardWay | undefined) => void;
  /** What the other node pushes, in its order. */
  readonly onPush: (event: string, payload: unknown) => void;
  /** Calls go through, and pushes of from now on come. `run` is the other node's. */
  readonly onUp: (run: number) => void;
  /** Follows the ends of all ways. */
  readonly onDown: (reason: string) => void;
  /** Plans a turn (LinkTurn#schedule): the handler was told something, or there is space. */
  readonly schedule: () => void;
  readonly logger: Logger;
}

/**
 * The link to another node, on the side that uses its shards: dials, again and again as long as it is not closed, and keeps
 * a lane for each shard that is wanted. Nothing is ever sent twice: what was on its way when the link fell is lost, and its
 * authors hear that the shards are down. Main thread.
 */
export class PeerLink {
  readonly #options: PeerLinkOptions;
  readonly #lanes: RemoteLanes;
  readonly #calls: RpcCalls;
  #connection: PeerConnection | undefined;
  #isUp = false;
  #isClosed = false;
  #remoteRun = 0;
  #retryMs: number = BROKER_LIMITS.peerReconnectMsMin;
  #retryTimer: NodeJS.Timeout | undefined;
  #upAtMs = 0;
  /** Why there is no link, when that was logged. */
  #loggedReason: string | undefined;
  #lastError: string | undefined;
  /** Lane of the ring records that come now. */
  #laneId = -1;
  /** The handler was told something in this turn. */
  #hasTold = false;

  constructor(options: PeerLinkOptions) {
    this.#options = options;
    this.#calls = new RpcCalls(options.remoteNodeId);
    this.#lanes = new RemoteLanes({
      onLane: options.onLane,
      onLaneDown: (shardId, reason) => this.#log("debug", "peer-lane-down", { shardId, reason }),
      schedule: options.schedule,
    });
    this.#dial();
  }

  /** Uses the shard, which the other node has open with that epoch; onLane follows, as soon as it is so. */
  open(shardId: number, epoch: number): void {
    if (!this.#isClosed) this.#lanes.open(shardId, epoch);
  }

  /** Uses the shard no more. onLane follows at once if there was a way. */
  drop(shardId: number): void {
    this.#lanes.drop(shardId);
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /**
   * Calls a handler of the other node, once.
   * @returns what it answered; rejects with the MillraceError it threw, SHARD_RESTARTED when the link is down or falls,
   * THROTTLED, REQUEST_TOO_LARGE, and INTERNAL when there is no answer in time
   */
  call(
    method: string,
    args: readonly unknown[],
    timeoutMs: number = BROKER_LIMITS.controlTimeoutMs,
  ): Promise<unknown> {
    const connection = this.#connection;
    const { remoteNodeId } = this.#options;
    if (connection === undefined || !this.#isUp) return Promise.reject(linkLost(remoteNodeId, method));
    if (connection.output.queuedBytes >= BROKER_LIMITS.peerOutputBytesMax) {
      return Promise.reject(tooBusy(`the link to node ${remoteNodeId} is far behind: call=${method}`));
    }
    return this.#calls.call(connection, method, args, timeoutMs);
  }

  status(): LinkStatus {
    const connection = this.#connection;
    return {
      direction: "out",
      nodeId: this.#options.remoteNodeId,
      run: this.#remoteRun,
      state: this.#isUp ? "up" : connection === undefined ? "down" : "connecting",
      rttMs: connection?.rttMs,
      receivedBytes: connection?.receivedBytes ?? 0,
      sentBytes: connection?.sentBytes ?? 0,
      queuedBytes: connection?.output.queuedBytes ?? 0,
      lanes: this.#lanes.status(),
      lastError: this.#lastError,
    };
  }

  /** Ends all ways; nothing is dialed any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#retryTimer);
    this.#connection?.end("this side was closed");
  }

  #dial(): void {
    const { address, clusterId, nodeId, run, remoteNodeId } = this.#options;
    attempts += 1;
    const connection: PeerConnection = new PeerConnection(SYSTEM_CLOCK, true, {
      onRecord: (type, words, bytes, index, length) => {
        this.#onRecord(connection, type, words, bytes, index, length);
      },
      onReadEnd: () => {
        if (!this.#hasTold) return;
        this.#hasTold = false;
        this.#options.schedule();
      },
      onWritten: () => this.#onWritten(connection),
      onClosed: (reason, error) => this.#onClosed(reason, error),
    });
    this.#connection = connection;
    writeHello(connection, { clusterId, nodeId, run, attempt: attempts, toNodeId: remoteNodeId });
    try {
      dial(address, connection, () => connection.open());
    } catch (error) {
      connection.close((error as Error).message);
    }
  }

  #onRecord(
    connection: PeerConnection,
    type: number,
    words: Int32Array,
    bytes: Buffer,
    index: number,
    length: number,
  ): void {
    if (!this.#isUp) {
      this.#onAnswer(connection, type, words, bytes, index, length);
    } else if (type < LINK_TYPE_MIN) {
      this.#onRingRecord(type, words, bytes, index);
    } else {
      this.#onLinkRecord(type, words, bytes, index, length);
    }
  }

  #onAnswer(
    connection: PeerConnection,
    type: number,
    words: Int32Array,
    bytes: Buffer,
    index: number,
    length: number,
  ): void {
    if (type === LINK.REFUSED) {
      connection.close(`refused: ${readRefusal(words, bytes, index, length)}`);
      return;
    }
    if (type !== LINK.WELCOME) throw new PeerProtocolError(`a welcome was expected: type=${type}`);
    const { clusterId, nodeId, run, windows } = readWelcome(words, bytes, index, length);
    const { remoteNodeId, clusterId: own } = this.#options;
    if (clusterId !== own) throw new PeerProtocolError(`that is another cluster: clusterId=${clusterId}`);
    if (nodeId !== remoteNodeId) throw new PeerProtocolError(`that is another node: nodeId=${nodeId}`);
    connection.established();
    this.#isUp = true;
    this.#remoteRun = run;
    this.#upAtMs = SYSTEM_CLOCK.monotonicMs();
    this.#loggedReason = undefined;
    this.#lastError = undefined;
    this.#laneId = -1;
    this.#log("info", "peer-link-up", { run });
    this.#options.onUp(run);
    this.#lanes.linkUp(connection, windows);
  }

  #onRingRecord(type: number, words: Int32Array, bytes: Buffer, index: number): void {
    // A lane may end in the middle of what was read: what follows of it is nobody's.
    const shardId = this.#laneId === READER_LANE ? NO_SHARD : this.#lanes.shardOf(this.#laneId);
    if (shardId === undefined) return;
    const handler = this.#options.handler();
    // Answers to requests are the node's own, which may ask before it has a gateway.
    if (handler === undefined && type !== OUTBOUND.REPLY) return;
    this.#hasTold = true;
    dispatchOutbound(handler as GatewayHandler, this.#options.replies, shardId, words, bytes, index);
  }

  #onLinkRecord(type: number, words: Int32Array, bytes: Buffer, index: number, length: number): void {
    switch (type) {
      case LINK.LANE:
        if (length < LANE_RECORD_BYTES) throw new PeerProtocolError("a lane's record is cut short");
        this.#laneId = words[(index >> 2) + LANE_ID_WORD] as number;
        break;
      case LINK.LANE_UP:
      case LINK.LANE_DOWN:
      case LINK.CREDIT:
        this.#lanes.onRecord(type, words, index, length);
        break;
      case LINK.RPC_REPLY:
        this.#calls.onReply(words, bytes, index, length);
        break;
      case LINK.PUSH: {
        const [event, payload] = arrayOf(readMessage(words, bytes, index, length), "PUSH");
        this.#options.onPush(String(event), payload);
        break;
      }
      default:
        throw new PeerProtocolError(`no owner of a shard says this: type=${type}`);
    }
  }

  #onWritten({ output }: PeerConnection): void {
    if (!output.isAwaited || output.queuedBytes >= BROKER_LIMITS.peerOutputBytesMax / 2) return;
    output.isAwaited = false;
    this.#lanes.socketDrained();
  }

  #onClosed(reason: string, error: Error | undefined): void {
    const wasUp = this.#isUp;
    this.#connection = undefined;
    this.#isUp = false;
    this.#lastError = reason;
    this.#lanes.linkDown();
    this.#calls.rejectAll();
    if (error !== undefined) this.#log("error", "peer-link-failed", { reason, stack: error.stack });
    else if (wasUp) this.#log(this.#isClosed ? "info" : "warn", "peer-link-down", { reason });
    else if (reason !== this.#loggedReason && !this.#isClosed) {
      this.#loggedReason = reason;
      this.#log("info", "peer-link-waits", { reason });
    }
    if (wasUp) this.#options.onDown(reason);
    if (this.#isClosed) return;
    // A link that falls as soon as it is up would be dialed on and on: two processes with one number, say.
    const upMs = wasUp ? SYSTEM_CLOCK.monotonicMs() - this.#upAtMs : 0;
    if (upMs >= BROKER_LIMITS.peerReconnectMsMax) this.#retryMs = BROKER_LIMITS.peerReconnectMsMin;
    // Half of it by chance: nodes that lost the same one do not come back in step.
    const waitMs = Math.ceil(this.#retryMs / 2) + randomInt(Math.ceil(this.#retryMs / 2) + 1);
    this.#retryMs = Math.min(this.#retryMs * 2, BROKER_LIMITS.peerReconnectMsMax);
    this.#retryTimer = setTimeout(() => this.#dial(), waitMs);
  }

  #log(level: "debug" | "info" | "warn" | "error", event: string, fields: Record<string, unknown>): void {
    this.#options.logger.log(level, event, { nodeId: this.#options.remoteNodeId, ...fields });
  }
}
