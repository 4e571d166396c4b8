import { type Durability, MillraceError } from "@millrace/protocol";
import { errorReply } from "../http-reply.ts";
import type { HttpReply } from "../listener.ts";
import type { RequestedRecord } from "./record-request.ts";

/** What became of one record. */
type RecordResult =
  | { readonly partition: number; readonly offset: number; readonly durability: Durability }
  | FailedRecord;

interface FailedRecord {
  readonly error: string;
  readonly number: number;
  readonly outcome: Outcome;
}

/** Of a record that was not acknowledged: whether it may be in the log all the same. */
export type Outcome = "not-stored" | "unknown";

/** The records of one HTTP request, until all of them are acknowledged or refused. */
export class PublishRequest {
  readonly records: readonly RequestedRecord[];
  /** Monotonic. */
  readonly deadlineMs: number;
  readonly #topic: string;
  readonly #answer: (reply: HttpReply) => void;
  readonly #results: (RecordResult | undefined)[];
  #waiting: number;
  #firstError: MillraceError | undefined;
  #stored = 0;
  #unknown = 0;

  /** @param answer is called once, when the last record is done or given up. */
  constructor(
    topic: string,
    records: readonly RequestedRecord[],
    deadlineMs: number,
    answer: (reply: HttpReply) => void,
  ) {
    this.#topic = topic;
    this.records = records;
    this.deadlineMs = deadlineMs;
    this.#answer = answer;
    this.#results = new Array(records.length);
    this.#waiting = records.length;
  }

  get isDone(): boolean {
    return this.#waiting === 0;
  }

  acknowledged(index: number, partition: number, offset: number, durability: Durability): void {
    if (this.#results[index] !== undefined) return;
    this.#results[index] = { partition, offset, durability };
    this.#stored += 1;
    this.#done();
  }

  failed(index: number, error: MillraceError, outcome: Outcome): void {
    if (this.#results[index] !== undefined) return;
    this.#results[index] = { error: error.code, number: error.number, outcome };
    this.#firstError ??= error;
    if (outcome === "unknown") this.#unknown += 1;
    this.#done();
  }

  /** The time is over: what is not answered by now may be stored. */
  timedOut(afterMs: number): void {
    const error = new MillraceError(
      "ACK_TIMEOUT",
      `no acknowledgement within ${afterMs} ms: the records without one may have been stored`,
    );
    for (let index = 0; index < this.#results.length; index += 1) this.failed(index, error, "unknown");
  }

  #done(): void {
    this.#waiting -= 1;
    if (this.#waiting > 0) return;
    this.#answer(this.#firstError === undefined ? this.#success() : this.#failure(this.#firstError));
  }

  #success(): HttpReply {
    return { status: 200, body: { topic: this.#topic, records: this.#results } };
  }

  #failure(error: MillraceError): HttpReply {
    if (this.#stored === 0 && this.#unknown === 0) return errorReply(error, { outcome: "not-stored" });
    const outcome = this.#stored === 0 ? "unknown" : "partial";
    return errorReply(error, { outcome, records: this.#results });
  }
}

/** The answer to a request of which nothing came into a batch. */
export function refusalOf(error: MillraceError): HttpReply {
  const { at } = error.details;
  return errorReply(error, { outcome: "not-stored", ...(typeof at === "string" ? { at } : {}) });
}
