import { type GatewayPort, SHARD_DOWN } from "@millrace/broker/internal";
import { Fifo } from "./fifo.ts";
import { GATEWAY_LIMITS } from "./limits.ts";
import type { OutputMeter } from "./output-meter.ts";
import type { QueueConsumer, Stake } from "./queue-consumer.ts";

/** A shard as the source of one subscription's messages. */
interface Source {
  readonly shardId: number;
  /** It said so, or has not been asked yet. */
  backlog: boolean;
  down: boolean;
  /** Its ring had no room. */
  full: boolean;
  /** Consumers with credit there. */
  lenders: number;
  /**
   * How many may have credit there at once. One asks first; each lease shows that there was more than nothing, and lets one
   * more ask: or every message would make all idle consumers lend, and all but one get their credit back.
   */
  width: number;
}

/**
 * Lends the credit of the consumers of one subscription to its shards. Every slot is at one place at a time, so that a
 * consumer never holds more than it asked for, however many shards there are.
 *
 *   free ──lend──▶ lent to a shard ──LEASED──▶ held by the client ──SETTLED──▶ free
 *                  lent to a shard ──EMPTY───▶ free
 *
 * Shards take turns, and so do consumers; a turn is a part of the window where several shards have something, so that none
 * has to wait for a window to be worked off at another one.
 */
export class QueueLending {
  readonly subscriptionId: number;
  readonly consumers: Set<QueueConsumer> = new Set();
  readonly #port: GatewayPort;
  readonly #output: OutputMeter;
  readonly #onFull: (lending: QueueLending) => void;
  readonly #sources: readonly Source[];
  readonly #ready: Fifo<QueueConsumer> = new Fifo();
  /** Consumers that shards have messages of, and too few bytes for them. */
  readonly #short: Set<QueueConsumer> = new Set();
  #nextSource = 0;
  /** Stands in the list of those to be pumped. */
  planned = false;

  /** @param onFull is told that a shard's ring had no room: call onSpace() when it has */
  constructor(
    port: GatewayPort,
    output: OutputMeter,
    subscriptionId: number,
    shardIds: Iterable<number>,
    onFull: (lending: QueueLending) => void,
  ) {
    this.#port = port;
    this.#output = output;
    this.#onFull = onFull;
    this.subscriptionId = subscriptionId;
    this.#sources = [...new Set(shardIds)].map((shardId) => ({
      shardId,
      backlog: true,
      down: false,
      full: false,
      lenders: 0,
      width: 1,
    }));
  }

  add(consumer: QueueConsumer): void {
    this.consumers.add(consumer);
    // It may ask at once: those that lend already may have too few bytes for what is next.
    for (const source of this.#sources) source.width = Math.max(source.width, source.lenders + 1);
    this.wake(consumer);
  }

  /** The consumer is over; the caller tells its shards. */
  remove(consumer: QueueConsumer): void {
    this.consumers.delete(consumer);
    this.#short.delete(consumer);
    for (const stake of consumer.stakes.values()) {
      const source = this.#source(stake.shardId);
      if (stake.lentMessages > 0 && source !== undefined) source.lenders -= 1;
      consumer.forget(stake);
    }
  }

  /** The consumer may have credit to lend; pump() finds out. */
  wake(consumer: QueueConsumer): void {
    consumer.isBlocked = false;
    if (consumer.isReady || consumer.detached || consumer.freeMessages <= 0) return;
    consumer.isReady = true;
    this.#ready.push(consumer);
  }

  /**
   * Lends what can be lent. Consumers that had to stand back because of their session's socket are added to `blocked`: wake
   * them when it has room.
   */
  pump(blocked: Set<QueueConsumer>): void {
    for (const consumer of this.#short) this.#topUp(consumer, blocked);
    const sources = this.#sources;
    for (let idle = 0; idle < sources.length && this.#ready.length > 0; ) {
      const source = sources[this.#nextSource] as Source;
      this.#nextSource = (this.#nextSource + 1) % sources.length;
      idle = this.#offer(source, blocked) ? 0 : idle + 1;
    }
  }

  /** Wants back what its shards cannot use: all that is lent, if the client has fewer slots now, or what has no bytes left. */
  recallUseless(consumer: QueueConsumer): void {
    consumer.recallWanted = false;
    const hasExcess = consumer.freeMessages < 0;
    for (const stake of consumer.stakes.values()) {
      if (stake.lentMessages > 0 && (hasExcess || stake.lentBytes <= 0)) this.#recall(consumer, stake);
    }
  }

  recallAll(consumer: QueueConsumer): void {
    for (const stake of consumer.stakes.values()) {
      if (stake.lentMessages > 0) this.#recall(consumer, stake);
    }
  }

  // ---- what shards say ----

  onAvailable(shardId: number): void {
    const source = this.#source(shardId);
    if (source === undefined) return;
    source.backlog = true;
    // Nobody who lends there can have it.
    source.width = Math.max(source.width, source.lenders + 1);
  }

  onEmpty(consumer: QueueConsumer, shardId: number, messages: number, bytes: number): void {
    const source = this.#source(shardId);
    if (source === undefined || consumer.detached) return;
    const stake = consumer.stake(shardId);
    // It may come back because it was recalled, or because its bytes did not suffice for the next message.
    const isDry = messages > 0 && stake.recalls === 0 && stake.lentBytes > 0;
    if (stake.recalls > 0) stake.recalls -= 1;
    const lent = stake.lentMessages > 0;
    consumer.returned(stake, messages, bytes);
    if (lent && stake.lentMessages === 0) source.lenders -= 1;
    if (isDry) {
      source.backlog = false;
      source.width = 1;
    }
    this.wake(consumer);
  }

  onLeased(consumer: QueueConsumer, shardId: number, messages: number, bytes: number): void {
    const source = this.#source(shardId);
    if (source === undefined) return;
    const stake = consumer.stake(shardId);
    const lent = stake.lentMessages > 0;
    consumer.leased(stake, messages, bytes);
    if (lent && stake.lentMessages === 0) source.lenders -= 1;
    // Without bytes the shard can do nothing with the messages that it has left.
    if (stake.lentMessages > 0 && stake.lentBytes <= 0) this.#recall(consumer, stake);
    if (this.#missingBytes(consumer, stake) > 0) this.#short.add(consumer);
    if (source.width < this.consumers.size) source.width += 1;
    this.wake(consumer);
  }

  onSettled(consumer: QueueConsumer, shardId: number, messages: number): void {
    consumer.freed(consumer.stake(shardId), messages);
    this.wake(consumer);
  }

  /** The shard's rings have room again. @returns whether it waits for another one's */
  onSpace(shardId: number): boolean {
    const source = this.#source(shardId);
    if (source?.full) {
      source.full = false;
      for (const consumer of this.consumers) {
        if (!consumer.recallWanted) continue;
        this.recallUseless(consumer);
        this.wake(consumer);
      }
    }
    return this.#sources.some(({ full }) => full);
  }

  /** Leases and lent credit are void. */
  onShardDown(shardId: number): boolean {
    const source = this.#source(shardId);
    if (source === undefined) return false;
    source.down = true;
    source.lenders = 0;
    source.width = 1;
    for (const consumer of this.consumers) {
      const stake = consumer.stakes.get(shardId);
      if (stake === undefined) continue;
      consumer.forget(stake);
      this.wake(consumer);
    }
    return true;
  }

  onShardUp(shardId: number): boolean {
    const source = this.#source(shardId);
    if (source === undefined) return false;
    source.down = false;
    source.full = false;
    source.backlog = true;
    return true;
  }

  // ---- lending ----

  /** Gives the next consumer's credit to the source. @returns false when there is nothing to be done there. */
  #offer(source: Source, blocked: Set<QueueConsumer>): boolean {
    if (!source.backlog || source.down || source.full) return false;
    if (source.lenders >= source.width && this.consumers.size > 1) return false;
    const ready = this.#ready;
    for (let looks = ready.length; looks > 0; looks -= 1) {
      const consumer = ready.shift() as QueueConsumer;
      consumer.isReady = false;
      const free = consumer.freeMessages;
      if (consumer.detached || free <= 0) continue;
      const stake = consumer.stake(source.shardId);
      const turn = this.#turnMessages(consumer);
      if (stake.lentMessages * 2 > turn) {
        // It has its turn there: another source may take the rest.
        this.#stayReady(consumer);
        continue;
      }
      const messages = Math.min(free, turn - stake.lentMessages);
      const bytes = this.#turnBytes(consumer, stake, messages);
      if (bytes === 0) {
        this.#recallIdle(consumer);
        continue;
      }
      if (!this.#hasRoom(consumer, bytes)) {
        consumer.isBlocked = true;
        blocked.add(consumer);
        continue;
      }
      if (!this.#lend(source, consumer, stake, messages, bytes)) {
        this.#stayReady(consumer);
        return false;
      }
      if (consumer.freeMessages > 0) this.#stayReady(consumer);
      return true;
    }
    return false;
  }

  /** Lends bytes where a shard has messages and too few bytes for them: or it would wait until all are settled that it gave. */
  #topUp(consumer: QueueConsumer, blocked: Set<QueueConsumer>): void {
    let isShort = false;
    for (const stake of consumer.stakes.values()) {
      const missing = this.#missingBytes(consumer, stake);
      if (missing <= 0) continue;
      isShort = true;
      const source = this.#source(stake.shardId);
      const bytes = Math.min(missing, consumer.freeBytes);
      if (source === undefined || source.down || source.full || bytes <= 0) continue;
      if (this.#hasRoom(consumer, bytes)) this.#lend(source, consumer, stake, 0, bytes);
      else {
        consumer.isBlocked = true;
        blocked.add(consumer);
      }
    }
    if (!isShort) this.#short.delete(consumer);
  }

  /** Bytes that the messages which the shard may still lease will take as a rule, beyond those it has. */
  #missingBytes(consumer: QueueConsumer, { lentMessages, lentBytes, recalls }: Stake): number {
    if (lentMessages === 0 || lentBytes <= 0 || recalls > 0) return 0;
    const expected = Math.ceil(lentMessages * consumer.messageBytes);
    return Math.min(this.#shareBytes(consumer), expected) - lentBytes;
  }

  #shareBytes(consumer: QueueConsumer): number {
    return Math.min(Math.ceil(consumer.creditLimit / this.#activeSources()), GATEWAY_LIMITS.lendBytesMax);
  }

  #lend(source: Source, consumer: QueueConsumer, stake: Stake, messages: number, bytes: number): boolean {
    const { shardId } = source;
    const outcome = this.#port.lend(shardId, consumer.consumerId, this.subscriptionId, messages, bytes);
    if (outcome !== 0) {
      if (outcome === SHARD_DOWN) source.down = true;
      else this.#isFull(source);
      return false;
    }
    if (stake.lentMessages === 0) source.lenders += 1;
    consumer.lent(stake, messages, bytes);
    return true;
  }

  #turnMessages(consumer: QueueConsumer): number {
    const share = Math.ceil(consumer.slots / this.#activeSources());
    const max =
      this.consumers.size > 1 ? GATEWAY_LIMITS.lendSharedMessagesMax : GATEWAY_LIMITS.lendMessagesMax;
    return Math.min(share, max);
  }

  /** Bytes to lend for a turn, at least 1; 0 when there are too few for the shard to do anything. */
  #turnBytes(consumer: QueueConsumer, stake: Stake, messages: number): number {
    // Twice what they take as a rule, since some are larger. What is not used is missing for others of the session.
    const expected = Math.ceil(2 * (stake.lentMessages + messages) * consumer.messageBytes);
    const turn = Math.min(this.#shareBytes(consumer), Math.max(GATEWAY_LIMITS.lendBytesMin, expected));
    const bytes = Math.min(turn - stake.lentBytes, consumer.freeBytes);
    // What a shard has left of an earlier turn, without messages to use it for, is of use again.
    if (stake.lentBytes > 0) return Math.max(bytes, 1);
    return stake.lentBytes + bytes > 0 ? bytes : 0;
  }

  /** Bytes that shards have left, without messages to use them for, are missing elsewhere. */
  #recallIdle(consumer: QueueConsumer): void {
    for (const stake of consumer.stakes.values()) {
      if (stake.lentMessages === 0 && stake.lentBytes > 0) this.#recall(consumer, stake);
    }
  }

  #recall(consumer: QueueConsumer, stake: Stake): void {
    if (stake.recalls > 0) return;
    const outcome = this.#port.recall(stake.shardId, consumer.consumerId);
    if (outcome === 0) {
      stake.recalls += 1;
      return;
    }
    const source = this.#source(stake.shardId);
    if (outcome === SHARD_DOWN || source === undefined) return;
    this.#isFull(source);
    consumer.recallWanted = true;
  }

  #isFull(source: Source): void {
    source.full = true;
    this.#onFull(this);
  }

  #hasRoom({ results, session }: QueueConsumer, bytes: number): boolean {
    // A client is not to get what it has made room for before it knows that it has.
    if (results.length > 0 || !session.canSend()) return false;
    const { readingBytes, unsentBytes } = session;
    return readingBytes === 0 || unsentBytes + readingBytes + bytes <= this.#output.highWaterBytes;
  }

  #stayReady(consumer: QueueConsumer): void {
    consumer.isReady = true;
    this.#ready.push(consumer);
  }

  #activeSources(): number {
    let active = 0;
    for (const { backlog, down } of this.#sources) if (backlog && !down) active += 1;
    return Math.max(1, active);
  }

  #source(shardId: number): Source | undefined {
    return this.#sources.find((source) => source.shardId === shardId);
  }
}
