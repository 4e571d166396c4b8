import { setTimeout as sleep } from "node:timers/promises";
import type { LocalShardWay } from "../node/shard-way.ts";
import type { GuestShards } from "./guest-shards.ts";

const RETRY_MS = 100;

/** What one guest left, or may have left, in one opening of a shard. */
interface Trace {
  readonly way: LocalShardWay;
  /** Resolves when the shard has forgotten the guest. */
  gone: Promise<void> | undefined;
}

/**
 * Sees to it that a shard forgets what a guest had there before the guest comes anew: its consumers, its tail groups, its
 * reads. Everything of the guest went through a way, and what a way's shard knew ends with the way.
 */
export class GuestLedger {
  readonly #shards: GuestShards;
  readonly #traces: Map<number, Trace> = new Map();
  #isClosed = false;

  constructor(shards: GuestShards) {
    this.#shards = shards;
  }

  /** The guest has a lane to the shard, from now on. */
  used(gateway: number, shardId: number, way: LocalShardWay): void {
    this.#traces.set(keyOf(gateway, shardId), { way, gone: undefined });
  }

  /** The guest's lane has ended, and the shard may live on: it is told. */
  ended(gateway: number, shardId: number): void {
    void this.forgotten(gateway, shardId);
  }

  /** @returns undefined when nothing of the guest is left at the shard; otherwise a promise that resolves when that is so */
  forgotten(gateway: number, shardId: number): Promise<void> | undefined {
    const trace = this.#traces.get(keyOf(gateway, shardId));
    if (trace === undefined) return undefined;
    if (this.#shards.way(shardId) !== trace.way) {
      this.#traces.delete(keyOf(gateway, shardId));
      return undefined;
    }
    trace.gone ??= this.#tell(gateway, shardId, trace);
    return trace.gone;
  }

  close(): void {
    this.#isClosed = true;
  }

  async #tell(gateway: number, shardId: number, trace: Trace): Promise<void> {
    while (!this.#isClosed && this.#shards.way(shardId) === trace.way) {
      try {
        await this.#shards.gatewayGone(shardId, gateway);
        break;
      } catch {
        // Either the shard is going away, and all it knew with it, or it is too busy to answer.
        await sleep(RETRY_MS, undefined, { ref: false });
      }
    }
    const key = keyOf(gateway, shardId);
    if (this.#traces.get(key) === trace) this.#traces.delete(key);
  }
}

function keyOf(gateway: number, shardId: number): number {
  return gateway * 0x1_0000 + shardId;
}
