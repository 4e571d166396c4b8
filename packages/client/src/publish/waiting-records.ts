import type { MillraceError } from "@millrace/protocol";
import type { OutgoingRecord } from "../api/record.ts";
import { Deque } from "../deque.ts";
import type { OutgoingBatch } from "./outgoing-batch.ts";

/** A record that waits for room, or for the topic's partitions to be known. It is not copied yet. */
export interface WaitingRecord {
  readonly record: OutgoingRecord;
  /** On the client's clock. */
  readonly since: number;
  /** Ties the record's promise to the batch that took the record. */
  readonly place: (batch: OutgoingBatch) => void;
  readonly reject: (error: unknown) => void;
}

/** What a record takes besides its value, roughly. */
const RECORD_OVERHEAD_BYTES = 64;

/** Records of one producer that could not be placed yet, in their order. */
export class WaitingRecords {
  readonly #records: Deque<WaitingRecord> = new Deque();
  #bytes = 0;
  #added = 0;
  #taken = 0;
  #waiters: { readonly target: number; readonly resolve: () => void }[] = [];

  get length(): number {
    return this.#records.length;
  }

  /** Roughly what the records take. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether somebody waits for `allTaken`. */
  get isAwaited(): boolean {
    return this.#waiters.length > 0;
  }

  add(waiting: WaitingRecord): void {
    this.#records.push(waiting);
    this.#bytes += bytesOf(waiting.record);
    this.#added += 1;
  }

  /** Takes the oldest one. */
  take(): WaitingRecord | undefined {
    const waiting = this.#records.shift();
    if (waiting === undefined) return undefined;
    this.#bytes -= bytesOf(waiting.record);
    this.#taken += 1;
    if (this.#waiters.length > 0) this.#wake();
    return waiting;
  }

  /** Rejects those that wait since before `createdBefore`, all of them by default. */
  reject(error: () => MillraceError, createdBefore: number = Number.POSITIVE_INFINITY): void {
    while ((this.#records.at(0)?.since ?? Number.POSITIVE_INFINITY) < createdBefore) {
      this.take()?.reject(error());
    }
  }

  /** Resolves when everything that waits now has been taken. */
  allTaken(): Promise<void> {
    if (this.#records.length === 0) return Promise.resolve();
    const target = this.#added;
    return new Promise((resolve) => this.#waiters.push({ target, resolve }));
  }

  #wake(): void {
    const taken = this.#taken;
    for (const waiter of this.#waiters) if (waiter.target <= taken) waiter.resolve();
    this.#waiters = this.#waiters.filter((waiter) => waiter.target > taken);
  }
}

function bytesOf({ value }: OutgoingRecord): number {
  const valueBytes = typeof value === "string" || value instanceof Uint8Array ? value.length : 0;
  return valueBytes + RECORD_OVERHEAD_BYTES;
}
