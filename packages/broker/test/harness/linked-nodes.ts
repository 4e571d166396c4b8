import { randomInt } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Doorbell } from "@millrace/core";
import { ENTRY_HEADER_BYTES } from "@millrace/journal/internal";
import type { Test } from "tap";
import type { Logger } from "../../src/logger.ts";
import { DataPath } from "../../src/node/data-path.ts";
import type { GatewayHandler } from "../../src/node/gateway-handler.ts";
import { LinkTurn, type ShardSlot } from "../../src/node/link-turn.ts";
import type { PeerAddress } from "../../src/peer/peer-address.ts";
import { PeerLink, type PeerLinkOptions } from "../../src/peer/peer-link.ts";
import { PeerServer, type PeerServerOptions } from "../../src/peer/peer-server.ts";
import type { RpcHandler } from "../../src/peer/rpc-handlers.ts";
import { fillEntryHeader } from "../../src/shard/entry-fields.ts";
import { FakeShard } from "./fake-shard.ts";

export const CLUSTER = "the-cluster";
export const OWNER = 1;
export const GUEST = 2;

/** An id of the guest's gateway. */
export function guestId(local: number): number {
  return GUEST * 2 ** 24 + local;
}

export interface LogLine {
  readonly level: string;
  readonly event: string;
  readonly fields: Record<string, unknown>;
}

export class RecordedLog implements Logger {
  readonly lines: LogLine[] = [];

  log(level: string, event: string, fields: Record<string, unknown> = {}): void {
    this.lines.push({ level, event, fields });
  }

  has(event: string, part = ""): boolean {
    return this.lines.some((line) => line.event === event && JSON.stringify(line.fields).includes(part));
  }
}

/** A path for a socket in a folder of its own, which is gone after the test. */
export function socketPath(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), "mr-peer-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, "p.sock");
}

/** Waits until it is so; the test's own time limit ends it. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await sleep(2);
}

/** A handler that drops everything but what is given. */
export function handlerOf(parts: Partial<GatewayHandler>): GatewayHandler {
  return new Proxy(parts as GatewayHandler, {
    get: (target, name) => Reflect.get(target, name) ?? (() => {}),
  });
}

/** The node that has the shards: fake shards, a real turn and a real server. */
export class OwnerNode {
  readonly shards: FakeShard[];
  readonly log: RecordedLog = new RecordedLog();
  readonly rpc: Map<string, RpcHandler> = new Map();
  /** [shardId, gateway] of each. */
  readonly gone: [number, number][] = [];
  /** What shards do when they are to forget a gateway. */
  forget: (shardId: number) => Promise<void> = async () => {};
  /** By shard; shards without one are served with epoch 1. */
  readonly epochs: Map<number, number> = new Map();
  readonly notServed: Set<number> = new Set();
  server!: PeerServer;
  readonly #slots: ShardSlot[];
  readonly #gatewayDoorbell: Doorbell;
  readonly #ringBytes: number;

  private constructor(shardCount: number, ringBytes: number) {
    this.#ringBytes = ringBytes;
    const doorbellBuffer = Doorbell.allocate();
    this.#slots = Array.from({ length: shardCount }, (_, shardId) => ({
      shardId,
      thread: 0,
      link: undefined,
      way: undefined,
      failed: undefined,
      dirty: false,
    }));
    const turn: LinkTurn = new LinkTurn(this.#slots, doorbellBuffer, {
      readerOutbound: () => undefined,
      handler: () => handlerOf({}),
      routing: () => ({ gateway: OWNER, guests: this.server.routes }),
      onSpace: (shardId) => this.server.onSpace(shardId),
    });
    this.#gatewayDoorbell = Doorbell.attach(doorbellBuffer, () => turn.schedule());
    this.shards = this.#slots.map(({ shardId }) => this.#newShard(shardId));
    turn.schedule();
  }

  static async listen(
    t: Test,
    options: Partial<PeerServerOptions> & { readonly shardCount?: number; readonly ringBytes?: number } = {},
  ): Promise<OwnerNode> {
    const { shardCount = 1, ringBytes = 65_536, ...rest } = options;
    const owner = new OwnerNode(shardCount, ringBytes);
    owner.server = await PeerServer.listen({
      address: { path: socketPath(t) },
      clusterId: CLUSTER,
      nodeId: OWNER,
      run: 11,
      rpc: owner.rpc,
      logger: owner.log,
      shards: {
        way: (shardId) => (owner.notServed.has(shardId) ? undefined : owner.shards[shardId]?.link),
        epoch: (shardId) => owner.epochs.get(shardId) ?? 1,
        gatewayGone: async (shardId, gateway) => {
          owner.gone.push([shardId, gateway]);
          await owner.forget(shardId);
        },
      },
      ...rest,
    });
    t.teardown(() => owner.server.close());
    return owner;
  }

  /** The shard's thread died: fresh rings. */
  restart(shardId: number): void {
    this.server.laneDown(shardId);
    this.shards[shardId] = this.#newShard(shardId);
  }

  #newShard(shardId: number): FakeShard {
    const shard = new FakeShard(shardId, this.#ringBytes, this.#gatewayDoorbell, { onReply: () => {} });
    const slot = this.#slots[shardId] as ShardSlot;
    slot.link = slot.way = shard.link;
    return shard;
  }
}

/** The node whose gateway uses them: a real turn, a real data path and a real link. */
export class GuestNode {
  readonly path: DataPath;
  readonly log: RecordedLog = new RecordedLog();
  link!: PeerLink;
  /** [sessionId, sequence] */
  readonly acks: [number, number][] = [];
  readonly events: string[] = [];
  readonly pushes: [string, unknown][] = [];
  readonly replies: Map<number, Uint8Array> = new Map();
  handler: GatewayHandler;
  readonly slots: ShardSlot[];
  readonly turn: LinkTurn;

  private constructor(shardCount: number) {
    this.slots = Array.from({ length: shardCount }, (_, shardId) => ({
      shardId,
      thread: 0,
      link: undefined,
      way: undefined,
      failed: undefined,
      dirty: false,
    }));
    this.handler = handlerOf({
      onAck: (sessionId, _topic, _partition, _producer, sequence) => this.acks.push([sessionId, sequence]),
      onSpace: (shardId) => this.events.push(`space ${shardId}`),
    });
    this.turn = new LinkTurn(this.slots, Doorbell.allocate(), {
      readerOutbound: () => undefined,
      handler: () => this.handler,
      routing: () => undefined,
      onSpace: (shardId) => this.handler.onSpace(shardId),
    });
    this.path = new DataPath(this.slots, this.turn, GUEST);
  }

  static dial(
    t: Test,
    address: PeerAddress,
    options: Partial<PeerLinkOptions> & { readonly shardCount?: number } = {},
  ): GuestNode {
    const { shardCount = 1, ...rest } = options;
    const guest = new GuestNode(shardCount);
    guest.link = new PeerLink({
      address,
      clusterId: CLUSTER,
      nodeId: GUEST,
      run: 1 + randomInt(1_000_000),
      remoteNodeId: OWNER,
      handler: () => guest.handler,
      replies: { onReply: (requestId, payload) => guest.replies.set(requestId, payload) },
      onLane: (shardId, way) => {
        (guest.slots[shardId] as ShardSlot).way = way;
        guest.events.push(`${way === undefined ? "down" : "up"} ${shardId}`);
      },
      onPush: (event, payload) => guest.pushes.push([event, payload]),
      onUp: () => guest.events.push("link up"),
      onDown: () => guest.events.push("link down"),
      schedule: () => guest.turn.schedule(),
      logger: guest.log,
      ...rest,
    });
    t.teardown(() => guest.link.close());
    return guest;
  }

  /** Dials, and waits until it has lanes to all shards. */
  static async joined(
    t: Test,
    owner: OwnerNode,
    options: Partial<PeerLinkOptions> & { readonly shardCount?: number } = {},
  ): Promise<GuestNode> {
    const guest = GuestNode.dial(t, owner.server.address, { shardCount: owner.shards.length, ...options });
    for (const { shardId } of guest.slots) guest.link.open(shardId, 1);
    await guest.allUp();
    return guest;
  }

  allUp(): Promise<void> {
    return until(() => this.slots.every(({ way }) => way !== undefined));
  }

  /** @returns claimBatch's outcome when it was refused, otherwise 0 */
  publish(shardId: number, sequence: number, payload: Uint8Array, session: number = guestId(1)): number {
    const index = this.path.claimBatch(shardId, payload.length);
    if (index < 0) return index;
    this.path.batchBytes(shardId).set(payload, index + ENTRY_HEADER_BYTES);
    fillEntryHeader(this.path.batchWords(shardId), index, session, 7, 0, 0, 0, sequence, 1, 0, false);
    this.path.commitBatch(shardId, index);
    return 0;
  }
}
