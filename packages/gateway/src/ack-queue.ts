import { GATEWAY_LIMITS } from "./limits.ts";

/** AckQueue.addAck, addError: the queue is full. Close the session: it does not read what it is told. */
export const ACK_QUEUE_FULL = -1;

/** Words of one item; see the fields below. */
const STRIDE = 9;
const KIND = 0;
const TOPIC = 1;
const PARTITION = 2;
const PRODUCER = 3;
const SEQUENCE = 4;
const COUNT = 5;
const OFFSET = 6;
const EPOCH = 7;
const DURABILITY_INDEX = 8;

/** Items looked back through for a run that continues. */
const LOOK_BACK = 16;
const INITIAL_ITEMS = 4;
/** Room that an emptied queue keeps. */
const KEPT_ITEMS = 32;

/** `errorNumber` of an item that is an ack. */
export const ACKED = 0;

/**
 * What one session's publishes came to and has not been told yet: runs of acks and errors, in the order in which they
 * happened. Neighbouring runs are merged, so the queue of a slow reader stays short. Numbers only, no object per run.
 */
export class AckQueue {
  #items: Float64Array = new Float64Array(STRIDE * INITIAL_ITEMS);
  #count = 0;

  get length(): number {
    return this.#count;
  }

  addAck(
    topicId: number,
    partition: number,
    producerId: number,
    firstSequence: number,
    count: number,
    baseOffset: number,
    logEpoch: number,
    durability: number,
  ): number {
    const items = this.#items;
    const oldest = Math.max(0, this.#count - LOOK_BACK);
    for (let item = this.#count - 1; item >= oldest; item -= 1) {
      const at = item * STRIDE;
      // An ack never moves across an error: a client learns of both in the order in which they happened.
      if (items[at + KIND] !== ACKED) break;
      if (
        items[at + PARTITION] !== partition ||
        items[at + TOPIC] !== topicId ||
        items[at + PRODUCER] !== producerId
      ) {
        continue;
      }
      const had = items[at + COUNT] as number;
      if (
        (items[at + SEQUENCE] as number) + had === firstSequence &&
        (items[at + OFFSET] as number) + had === baseOffset &&
        items[at + EPOCH] === logEpoch &&
        items[at + DURABILITY_INDEX] === durability
      ) {
        items[at + COUNT] = had + count;
        return 0;
      }
      break;
    }
    return this.#push(
      ACKED,
      topicId,
      partition,
      producerId,
      firstSequence,
      count,
      baseOffset,
      logEpoch,
      durability,
    );
  }

  /** `firstSequence` -1: every publish to that partition that has not been answered. */
  addError(
    errorNumber: number,
    topicId: number,
    partition: number,
    producerId: number,
    firstSequence: number,
    count: number,
    retryAfterMs: number,
  ): number {
    if (this.#count > 0) {
      const items = this.#items;
      const at = (this.#count - 1) * STRIDE;
      if (
        items[at + KIND] === errorNumber &&
        items[at + PARTITION] === partition &&
        items[at + TOPIC] === topicId &&
        items[at + PRODUCER] === producerId &&
        items[at + OFFSET] === retryAfterMs &&
        firstSequence >= 0 &&
        (items[at + SEQUENCE] as number) + (items[at + COUNT] as number) === firstSequence
      ) {
        items[at + COUNT] = (items[at + COUNT] as number) + count;
        return 0;
      }
    }
    return this.#push(errorNumber, topicId, partition, producerId, firstSequence, count, retryAfterMs, 0, 0);
  }

  /** ACKED or the error's number. */
  kind(item: number): number {
    return this.#items[item * STRIDE + KIND] as number;
  }
  topicId(item: number): number {
    return this.#items[item * STRIDE + TOPIC] as number;
  }
  partition(item: number): number {
    return this.#items[item * STRIDE + PARTITION] as number;
  }
  producerId(item: number): number {
    return this.#items[item * STRIDE + PRODUCER] as number;
  }
  firstSequence(item: number): number {
    return this.#items[item * STRIDE + SEQUENCE] as number;
  }
  count(item: number): number {
    return this.#items[item * STRIDE + COUNT] as number;
  }
  /** Of an ack. */
  baseOffset(item: number): number {
    return this.#items[item * STRIDE + OFFSET] as number;
  }
  /** Of an error. */
  retryAfterMs(item: number): number {
    return this.#items[item * STRIDE + OFFSET] as number;
  }
  logEpoch(item: number): number {
    return this.#items[item * STRIDE + EPOCH] as number;
  }
  /** Index into DURABILITIES. */
  durability(item: number): number {
    return this.#items[item * STRIDE + DURABILITY_INDEX] as number;
  }

  clear(): void {
    this.#count = 0;
    if (this.#items.length > KEPT_ITEMS * STRIDE) this.#items = new Float64Array(STRIDE * INITIAL_ITEMS);
  }

  #push(
    kind: number,
    topicId: number,
    partition: number,
    producerId: number,
    sequence: number,
    count: number,
    offset: number,
    epoch: number,
    durability: number,
  ): number {
    if (this.#count >= GATEWAY_LIMITS.ackRunsMax) return ACK_QUEUE_FULL;
    const at = this.#count * STRIDE;
    if (at === this.#items.length) {
      const larger = new Float64Array(this.#items.length * 2);
      larger.set(this.#items);
      this.#items = larger;
    }
    const items = this.#items;
    items[at + KIND] = kind;
    items[at + TOPIC] = topicId;
    items[at + PARTITION] = partition;
    items[at + PRODUCER] = producerId;
    items[at + SEQUENCE] = sequence;
    items[at + COUNT] = count;
    items[at + OFFSET] = offset;
    items[at + EPOCH] = epoch;
    items[at + DURABILITY_INDEX] = durability;
    this.#count += 1;
    return 0;
  }
}
