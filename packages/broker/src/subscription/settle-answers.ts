import type { ConsumerLink } from "../shard/consumer-link.ts";

const FIELDS = 4;
const INITIAL = 256;
/** No id of a consumer. */
const NO_CONSUMER = 0;

/**
 * What is to be answered to SETTLE records once it is durable, oldest first: a circular table that grows. It is bounded by
 * what consumers may have unsettled. Shard thread only; allocates nothing per answer.
 */
export class SettleAnswers {
  readonly #link: ConsumerLink;
  #rows: Int32Array = new Int32Array(INITIAL * FIELDS);
  #mask: number = INITIAL - 1;
  #first = 0;
  #end = 0;
  /** Those before it are durable. */
  #durable = 0;

  constructor(link: ConsumerLink) {
    this.#link = link;
  }

  /** Answers that are not durable yet, or have found no room. */
  get size(): number {
    return this.#end - this.#first;
  }

  /** Running number of the oldest of them; `end` when there is none. */
  get first(): number {
    return this.#first;
  }

  /** Running number of the next answer: what `commit` takes. */
  get end(): number {
    return this.#end;
  }

  /** To be answered once what is staged in this cycle is durable. */
  push(consumerId: number, settleId: number, outcome: number, messages: number): void {
    if (this.#end - this.#first > this.#mask) this.#grow();
    const at = (this.#end & this.#mask) * FIELDS;
    this.#rows[at] = consumerId;
    this.#rows[at + 1] = settleId;
    this.#rows[at + 2] = outcome;
    this.#rows[at + 3] = messages;
    this.#end += 1;
  }

  /** The answers below this number are durable. */
  commit(end: number): void {
    this.#durable = end;
    this.flush();
  }

  /** Nobody waits for answers to these consumers any more. */
  forget(isGone: (consumerId: number) => boolean): void {
    for (let number = this.#first; number < this.#end; number += 1) {
      const at = (number & this.#mask) * FIELDS;
      if (isGone(this.#rows[at] as number)) this.#rows[at] = NO_CONSUMER;
    }
  }

  /** Sends what is durable, as far as there is room. @returns the number of answers */
  flush(): number {
    const rows = this.#rows;
    let sent = 0;
    while (this.#first < this.#durable) {
      const at = (this.#first & this.#mask) * FIELDS;
      const consumerId = rows[at] as number;
      const told =
        consumerId === NO_CONSUMER ||
        this.#link.writeSettled(
          consumerId,
          rows[at + 1] as number,
          rows[at + 2] as number,
          rows[at + 3] as number,
        );
      if (!told) break;
      this.#first += 1;
      sent += 1;
    }
    return sent;
  }

  #grow(): void {
    const size = (this.#mask + 1) * 2;
    const rows = new Int32Array(size * FIELDS);
    for (let number = this.#first; number < this.#end; number += 1) {
      const from = (number & this.#mask) * FIELDS;
      rows.set(this.#rows.subarray(from, from + FIELDS), (number & (size - 1)) * FIELDS);
    }
    this.#rows = rows;
    this.#mask = size - 1;
  }
}
