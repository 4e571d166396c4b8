import type { GatewayHandler } from "../node/gateway-handler.ts";
import type { ShardSlot } from "../node/link-turn.ts";
import type { ShardWay } from "../node/shard-way.ts";
import type { ClusterMap } from "./cluster-map.ts";

export interface ShardWaysOptions {
  readonly nodeId: number;
  readonly slots: readonly ShardSlot[];
  readonly handler: () => GatewayHandler | undefined;
  /** What the shard was asked will not be answered. */
  readonly rejectShard: (shardId: number) => void;
  /** What this node has open belongs to somebody else by now. */
  readonly onDeposed: (shardId: number) => void;
  /** Some slot goes another way than before, or none. */
  readonly onChange: () => void;
}

/** All that is known of where a shard is. */
interface Whereabouts {
  readonly slot: ShardSlot;
  /** By the map. */
  owner: number | null;
  epoch: number;
  failed: string | undefined;
  isRetried: boolean;
  /** It is open here, and may be used. */
  local: { readonly way: ShardWay; readonly epoch: number } | undefined;
  /** It is being closed here: nothing more may be given to it, what it still says is heard. */
  closing: boolean;
  /** Its journal failed here: known before any map says so, and until somebody has opened it anew. */
  localFailure: { readonly reason: string; readonly epoch: number } | undefined;
  /** The lane to it that is up. */
  lane: { readonly nodeId: number; readonly way: ShardWay } | undefined;
  /** The way by which the gateway was told that it is up. */
  told: ShardWay | undefined;
}

/**
 * Which way this node's gateway reaches each shard. The map, what is open here and the lanes to other nodes change
 * independently of each other and in any order: each change is noted, and the way follows from all that is known then. So
 * the gateway hears of each change once, and `down` always before another `up`. Main thread.
 */
export class ShardWays {
  readonly #options: ShardWaysOptions;
  readonly #shards: readonly Whereabouts[];

  constructor(options: ShardWaysOptions) {
    this.#options = options;
    this.#shards = options.slots.map((slot) => ({
      slot,
      owner: null,
      epoch: 0,
      failed: undefined,
      isRetried: false,
      local: undefined,
      closing: false,
      localFailure: undefined,
      lane: undefined,
      told: undefined,
    }));
  }

  follow(map: ClusterMap): void {
    for (const { shardId, nodeId, epoch, failed, isRetried = false } of map.shards) {
      const shard = this.#shard(shardId);
      shard.owner = nodeId;
      shard.epoch = epoch;
      shard.failed = failed;
      shard.isRetried = isRetried;
      const { localFailure } = shard;
      if (localFailure !== undefined && epoch > localFailure.epoch) shard.localFailure = undefined;
      this.#settle(shard);
      const isDeposed = shard.local !== undefined && !this.#isOwn(shard, shard.local.epoch);
      if (isDeposed) this.#options.onDeposed(shardId);
    }
  }

  localUp(shardId: number, way: ShardWay, epoch: number): void {
    const shard = this.#shard(shardId);
    shard.local = { way, epoch };
    shard.closing = false;
    shard.localFailure = undefined;
    this.#settle(shard);
  }

  /** Nothing more may be given to it; the gateway is told with localDown(), when it has heard what the shard still says. */
  localClosing(shardId: number): void {
    const shard = this.#shard(shardId);
    if (shard.local === undefined) return;
    shard.closing = true;
    this.#settle(shard);
  }

  /** It is closed here, or its thread was lost. */
  localDown(shardId: number): void {
    const shard = this.#shard(shardId);
    shard.local = undefined;
    shard.closing = false;
    this.#settle(shard);
  }

  localFailed(shardId: number, reason: string): void {
    const shard = this.#shard(shardId);
    const epoch = shard.local?.epoch ?? shard.epoch;
    shard.local = undefined;
    shard.closing = false;
    // What an earlier owner's journal does concerns nobody.
    if (epoch >= shard.epoch) shard.localFailure = { reason, epoch };
    this.#settle(shard);
  }

  /** A lane of the link to that node is up, or (undefined) down. */
  lane(nodeId: number, shardId: number, way: ShardWay | undefined): void {
    const shard = this.#shard(shardId);
    if (way !== undefined) shard.lane = { nodeId, way };
    // A lane that another link has brought up since stays.
    else if (shard.lane?.nodeId === nodeId) shard.lane = undefined;
    this.#settle(shard);
  }

  /** Shards that have an owner by the map, and no way. */
  get unreached(): number[] {
    return this.#shards
      .filter(({ slot, owner }) => owner !== null && slot.way === undefined && slot.failed === undefined)
      .map(({ slot }) => slot.shardId);
  }

  /** Shards that nobody has open, by the map. */
  get unowned(): number[] {
    return this.#shards
      .filter(({ slot, owner, local }) => owner === null && local === undefined && slot.failed === undefined)
      .map(({ slot }) => slot.shardId);
  }

  /** Of those, the ones that somebody is about to open. */
  get awaited(): number[] {
    return this.unowned.filter((shardId) => !this.#shard(shardId).isRetried);
  }

  /** The node that has it open, as far as this one knows; undefined = nobody. */
  ownerOf(shardId: number): number | undefined {
    const shard = this.#shard(shardId);
    if (shard.local !== undefined && this.#isOwn(shard, shard.local.epoch)) return this.#options.nodeId;
    return shard.owner ?? undefined;
  }

  epochOf(shardId: number): number {
    const { local, epoch } = this.#shard(shardId);
    return Math.max(epoch, local?.epoch ?? 0);
  }

  /** By epoch: a map may be older than what was opened here, and newer than what was not closed yet. */
  #isOwn({ owner, epoch }: Whereabouts, localEpoch: number): boolean {
    return owner === this.#options.nodeId || localEpoch >= epoch;
  }

  #wayOf(shard: Whereabouts): ShardWay | undefined {
    const { local, lane, owner } = shard;
    if (local !== undefined && this.#isOwn(shard, local.epoch)) return local.way;
    return lane !== undefined && lane.nodeId === owner ? lane.way : undefined;
  }

  #settle(shard: Whereabouts): void {
    const { slot } = shard;
    const { shardId } = slot;
    const { handler, rejectShard, onChange } = this.#options;
    const failed = shard.localFailure?.reason ?? (shard.local === undefined ? shard.failed : undefined);
    const hasFailed = failed !== undefined && slot.failed === undefined;
    slot.failed = failed;
    if (shard.closing) {
      slot.way = undefined;
      onChange();
      return;
    }
    const way = failed === undefined ? this.#wayOf(shard) : undefined;
    const wasUp = shard.told !== undefined;
    if (way === shard.told && !hasFailed) return;
    slot.way = undefined;
    // What was written into a lane is void; a link here has what the node itself has asked, whichever way the gateway goes.
    slot.dirty &&= slot.link !== undefined;
    shard.told = undefined;
    if (wasUp || hasFailed) rejectShard(shardId);
    if (hasFailed) handler()?.onShardFailed(shardId, failed);
    else if (wasUp) handler()?.onShardDown(shardId);
    if (way !== undefined) {
      shard.told = way;
      slot.way = way;
      handler()?.onShardUp(shardId);
    }
    onChange();
  }

  #shard(shardId: number): Whereabouts {
    const shard = this.#shards[shardId];
    if (shard === undefined) {
      throw new RangeError(`no such shard: shardId=${shardId} shards=${this.#shards.length}`);
    }
    return shard;
  }
}
