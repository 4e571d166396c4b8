import type { GatewayLink } from "./gateway-link.ts";
import { type GatewayPort, SHARD_DOWN } from "./gateway-port.ts";
import type { LinkTurn, ShardSlot } from "./link-turn.ts";

/** The part of the port through which every batch, read and lease goes. */
type DataPort = Pick<
  GatewayPort,
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
  readonly #slots: readonly ShardSlot[];
  readonly #turn: LinkTurn;

  constructor(slots: readonly ShardSlot[], turn: LinkTurn) {
    this.#slots = slots;
    this.#turn = turn;
  }

  claimBatch(shardId: number, storedBytes: number): number {
    const link = this.#up(shardId);
    if (link === undefined) return SHARD_DOWN;
    return link.claimBatch(storedBytes);
  }

  batchBytes(shardId: number): Buffer {
    return this.#link(shardId).inbound.bytes;
  }

  batchWords(shardId: number): Int32Array {
    return this.#link(shardId).inbound.words;
  }

  commitBatch(shardId: number, index: number): void {
    const slot = this.#slots[shardId] as ShardSlot;
    slot.link?.commitBatch(index);
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
    const link = this.#up(shardId);
    if (link === undefined) return SHARD_DOWN;
    const outcome = link.read(streamId, sharedStreamId, topicId, partition, offset, maxBytes);
    // At once: whoever reads works on it while this turn still sends what came before.
    link.flush();
    this.#turn.schedule();
    return outcome;
  }

  untail(shardId: number, topicId: number, partition: number): number {
    const link = this.#up(shardId);
    if (link === undefined) return SHARD_DOWN;
    return this.#wrote(shardId, link.untail(topicId, partition));
  }

  lend(shardId: number, consumerId: number, subscriptionId: number, messages: number, bytes: number): number {
    const link = this.#up(shardId);
    if (link === undefined) return SHARD_DOWN;
    return this.#wrote(shardId, link.lend(consumerId, subscriptionId, messages, bytes));
  }

  recall(shardId: number, consumerId: number): number {
    const link = this.#up(shardId);
    if (link === undefined) return SHARD_DOWN;
    return this.#wrote(shardId, link.recall(consumerId));
  }

  detach(shardId: number, consumerId: number): number {
    const link = this.#up(shardId);
    if (link === undefined) return SHARD_DOWN;
    return this.#wrote(shardId, link.detach(consumerId));
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
    const link = this.#up(shardId);
    if (link === undefined) return SHARD_DOWN;
    const outcome = link.settle(
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

  #up(shardId: number): GatewayLink | undefined {
    const slot = this.#slots[shardId] as ShardSlot;
    return slot.failed === undefined ? slot.link : undefined;
  }

  #link(shardId: number): GatewayLink {
    const link = this.#slots[shardId]?.link;
    if (link === undefined) throw new Error(`shard is down: shardId=${shardId}`);
    return link;
  }
}
