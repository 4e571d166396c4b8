import { type GatewayPort, SHARD_DOWN } from "./gateway-port.ts";
import type { LinkTurn, ShardSlot } from "./link-turn.ts";
import type { ShardWay } from "./shard-way.ts";

/** The part of the port through which every batch, read and lease goes. */
type DataPort = Pick<
  GatewayPort,
  | "gateway"
  | "claimBatch"
  | "batchBytes"
  | "batchWords"
  | "commitBatch"
  | "read"
  | "untail"
  | "lend"
  | "recall"
  | "detach"
  | "settle"
>;

/** The data path of a node: nothing here waits, allocates or throws. What is written is told to the shard by the turn. */
export class DataPath implements DataPort {
  readonly gateway: number;
  readonly #slots: readonly ShardSlot[];
  readonly #turn: LinkTurn;

  constructor(slots: readonly ShardSlot[], turn: LinkTurn, gateway: number) {
    this.#slots = slots;
    this.#turn = turn;
    this.gateway = gateway;
  }

  claimBatch(shardId: number, storedBytes: number): number {
    const way = this.#up(shardId);
    if (way === undefined) return SHARD_DOWN;
    return way.claimBatch(storedBytes);
  }

  batchBytes(shardId: number): Buffer {
    return this.#way(shardId).bytes;
  }

  batchWords(shardId: number): Int32Array {
    return this.#way(shardId).words;
  }

  commitBatch(shardId: number, index: number): void {
    const slot = this.#slots[shardId] as ShardSlot;
    slot.way?.commitBatch(index);
    slot.dirty = true;
    this.#turn.schedule();
  }

  read(
    shardId: number,
    streamId: number,
    sharedStreamId: number,
    topicId: number,
    partition: number,
    offset: number,
    maxBytes: number,
  ): number {
    const way = this.#up(shardId);
    if (way === undefined) return SHARD_DOWN;
    const outcome = way.read(streamId, sharedStreamId, topicId, partition, offset, maxBytes);
    // At once: whoever reads works on it while this turn still sends what came before.
    way.flush();
    this.#turn.schedule();
    return outcome;
  }

  untail(shardId: number, topicId: number, partition: number): number {
    const way = this.#up(shardId);
    if (way === undefined) return SHARD_DOWN;
    return this.#wrote(shardId, way.untail(topicId, partition, this.gateway));
  }

  lend(shardId: number, consumerId: number, subscriptionId: number, messages: number, bytes: number): number {
    const way = this.#up(shardId);
    if (way === undefined) return SHARD_DOWN;
    return this.#wrote(shardId, way.lend(consumerId, subscriptionId, messages, bytes));
  }

  recall(shardId: number, consumerId: number): number {
    const way = this.#up(shardId);
    if (way === undefined) return SHARD_DOWN;
    return this.#wrote(shardId, way.recall(consumerId));
  }

  detach(shardId: number, consumerId: number): number {
    const way = this.#up(shardId);
    if (way === undefined) return SHARD_DOWN;
    return this.#wrote(shardId, way.detach(consumerId));
  }

  settle(
    shardId: number,
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
    const way = this.#up(shardId);
    if (way === undefined) return SHARD_DOWN;
    const outcome = way.settle(
      consumerId,
      settleId,
      action,
      partition,
      leaseEpoch,
      leaseCounter,
      firstOffset,
      count,
      argument,
      reason,
    );
    return this.#wrote(shardId, outcome);
  }

  /** The turn tells the shard of it, and looks for room after a refusal. */
  #wrote(shardId: number, outcome: number): number {
    (this.#slots[shardId] as ShardSlot).dirty = true;
    this.#turn.schedule();
    return outcome;
  }

  #up(shardId: number): ShardWay | undefined {
    const slot = this.#slots[shardId] as ShardSlot;
    return slot.failed === undefined ? slot.way : undefined;
  }

  #way(shardId: number): ShardWay {
    const way = this.#slots[shardId]?.way;
    if (way === undefined) throw new Error(`shard is down: shardId=${shardId}`);
    return way;
  }
}
