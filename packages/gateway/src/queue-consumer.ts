import type { Consumer } from "./consumer-table.ts";
import type { Session } from "./session.ts";
import { SettleResults } from "./settle-results.ts";

/** What a consumer has at one shard. The shard keeps the same two amounts of lent credit; here they are counted along. */
export class Stake {
  readonly shardId: number;
  /** Credit that the shard may still use. Bytes fall below zero when a single record was larger than what was left. */
  lentMessages = 0;
  lentBytes = 0;
  /** Leased and not settled. */
  heldMessages = 0;
  heldBytes = 0;
  /** Recalls that have not been answered. */
  recalls = 0;
  /** What it takes of the room of its session's socket. */
  chargedBytes = 0;
  /**
   * Settles that the shard has, or will be given when its ring has room, and has not answered: whether they free slots, by id.
   */
  readonly unanswered: Map<number, boolean> = new Map();

  constructor(shardId: number) {
    this.shardId = shardId;
  }
}

/** Frames over which the size of messages is averaged. */
const MESSAGE_BYTES_FRAMES = 8;

/** Who does what a consumer is asked for. */
export interface QueueConsumerOwner {
  grant(consumer: QueueConsumer, slots: number, creditLimit: number): void;
  stop(consumer: QueueConsumer): Promise<void>;
  end(consumer: QueueConsumer): void;
}

/**
 * A consumer of a queue or keyed subscription. Its credit, `slots` messages and `creditLimit` bytes, is what is free, what
 * is lent to shards, and what the client holds: never more than those together.
 */
export class QueueConsumer implements Consumer {
  readonly consumerId: number;
  readonly session: Session;
  readonly topicId: number;
  readonly subscriptionId: number;
  /** Of the topic: index = partition. */
  readonly shards: readonly number[];
  slots: number;
  creditLimit: number;
  /** Sums over its stakes. */
  lentMessages = 0;
  lentBytes = 0;
  heldMessages = 0;
  heldBytes = 0;
  /** Settles that the client has not been sent an answer to, those whose answer waits for the socket included. */
  openSettles = 0;
  readonly results: SettleResults = new SettleResults();
  resultsPlanned = false;
  /** Stands in the line of those who may have credit to lend. */
  isReady = false;
  /** Waits for room of its session's socket. */
  isBlocked = false;
  /** A recall found its ring full. */
  recallWanted = false;
  largestFrameBytes = 0;
  /** Of a frame for each message in it, of late; 0: not known yet. */
  messageBytes = 0;
  /** Nothing more is leased to it, and what it had is given back; answers to its settles still come. */
  detached = false;
  ended = false;
  /** Called when a stopping consumer has been sent all answers, or is over. */
  onAnswered: (() => void) | undefined;
  /** By shard. */
  readonly stakes: Map<number, Stake> = new Map();
  readonly #owner: QueueConsumerOwner;

  constructor(
    owner: QueueConsumerOwner,
    names: Pick<Consumer, "consumerId" | "session" | "topicId" | "subscriptionId">,
    shards: readonly number[],
    slots: number,
    creditLimit: number,
  ) {
    this.#owner = owner;
    this.consumerId = names.consumerId;
    this.session = names.session;
    this.topicId = names.topicId;
    this.subscriptionId = names.subscriptionId;
    this.shards = shards;
    this.slots = slots;
    this.creditLimit = creditLimit;
  }

  grant(slots: number, creditLimit: number): void {
    this.#owner.grant(this, slots, creditLimit);
  }

  stop(): Promise<void> {
    return this.#owner.stop(this);
  }

  end(): void {
    this.#owner.end(this);
  }

  /** Below zero after the client has taken slots back. */
  get freeMessages(): number {
    return this.slots - this.heldMessages - this.lentMessages;
  }

  get freeBytes(): number {
    return this.creditLimit - this.heldBytes - this.lentBytes;
  }

  stake(shardId: number): Stake {
    let stake = this.stakes.get(shardId);
    if (stake === undefined) {
      stake = new Stake(shardId);
      this.stakes.set(shardId, stake);
    }
    return stake;
  }

  /** So many more settles have no answer on its way, or so many fewer. */
  opened(settles: number): void {
    this.openSettles += settles;
    this.session.openSettles += settles;
  }

  lent(stake: Stake, messages: number, bytes: number): void {
    stake.lentMessages += messages;
    stake.lentBytes += bytes;
    this.lentMessages += messages;
    this.lentBytes += bytes;
    this.#charge(stake);
  }

  /** Credit came back unused. */
  returned(stake: Stake, messages: number, bytes: number): void {
    this.lent(stake, -Math.min(messages, stake.lentMessages), -bytes);
  }

  /** Credit was used by a frame that is on its way to the client. */
  leased(stake: Stake, messages: number, bytes: number): void {
    if (bytes > this.largestFrameBytes) this.largestFrameBytes = bytes;
    const each = bytes / Math.max(1, messages);
    this.messageBytes += (each - this.messageBytes) / (this.messageBytes === 0 ? 1 : MESSAGE_BYTES_FRAMES);
    stake.heldMessages += messages;
    stake.heldBytes += bytes;
    this.heldMessages += messages;
    this.heldBytes += bytes;
    this.returned(stake, messages, bytes);
  }

  /** Messages are settled. Of their bytes no more is known than that they are as large as the others. */
  freed(stake: Stake, messages: number): void {
    const { heldMessages, heldBytes } = stake;
    const freed = Math.min(messages, heldMessages);
    if (freed === 0) return;
    const bytes = freed === heldMessages ? heldBytes : Math.floor((heldBytes * freed) / heldMessages);
    stake.heldMessages -= freed;
    stake.heldBytes -= bytes;
    this.heldMessages -= freed;
    this.heldBytes -= bytes;
  }

  /** The shard has forgotten the consumer. */
  forget(stake: Stake): void {
    this.freed(stake, stake.heldMessages);
    this.lent(stake, -stake.lentMessages, -stake.lentBytes);
    stake.recalls = 0;
  }

  /** An overrun of the credit cannot be told before: whoever had large frames will have them again. */
  #charge(stake: Stake): void {
    const bytes = stake.lentMessages > 0 ? Math.max(stake.lentBytes, this.largestFrameBytes) : 0;
    this.session.readingBytes += bytes - stake.chargedBytes;
    stake.chargedBytes = bytes;
  }
}
