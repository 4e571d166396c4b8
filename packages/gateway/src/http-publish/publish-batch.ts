import { BatchBuilder, type Durability, type MillraceError } from "@millrace/protocol";
import { GATEWAY_LIMITS } from "../limits.ts";
import type { Outcome, PublishRequest } from "./publish-request.ts";
import type { RequestedRecord } from "./record-request.ts";

const FREE_BUILDERS_MAX = 16;
/** A builder that has grown beyond this is not kept. */
const KEPT_BYTES_MAX = 65_536;

const free: BatchBuilder[] = [];

/** Records of one partition that came in one turn of the event loop, whichever requests they are of. */
export class PublishBatch {
  readonly topicId: number;
  readonly partition: number;
  /** Monotonic. */
  readonly madeMs: number;
  /** Sequence of the first record, which acks are found by. */
  baseSequence = -1;
  readonly #builder: BatchBuilder = free.pop() ?? new BatchBuilder(GATEWAY_LIMITS.httpBatchBytes);
  readonly #requests: PublishRequest[] = [];
  /** Of each record: its place in its request. */
  readonly #indexes: number[] = [];

  constructor(topicId: number, partition: number, madeMs: number) {
    this.madeMs = madeMs;
    this.topicId = topicId;
    this.partition = partition;
  }

  get count(): number {
    return this.#requests.length;
  }

  /** @returns false when it is full */
  add(request: PublishRequest, index: number, record: RequestedRecord): boolean {
    const { key, headers, value } = record;
    if (!this.#builder.append({ key, headers, value })) return false;
    this.#requests.push(request);
    this.#indexes.push(index);
    return true;
  }

  /** The PUBLISH frame; valid until release(). */
  frame(): Uint8Array {
    // Producer 0: retries are the HTTP client's, and nobody could tell a broker which request was meant.
    return this.#builder.finishPublish(this.topicId, this.partition, 0, 0, this.baseSequence);
  }

  /** The frame was sent, or will not be. */
  release(): void {
    const keep = free.length < FREE_BUILDERS_MAX && this.#builder.byteLength <= KEPT_BYTES_MAX;
    this.#builder.reset();
    if (keep) free.push(this.#builder);
  }

  acknowledged(baseOffset: number, durability: Durability): void {
    for (let i = 0; i < this.#requests.length; i += 1) {
      const request = this.#requests[i] as PublishRequest;
      request.acknowledged(this.#indexes[i] as number, this.partition, baseOffset + i, durability);
    }
  }

  failed(error: MillraceError, outcome: Outcome): void {
    for (let i = 0; i < this.#requests.length; i += 1) {
      (this.#requests[i] as PublishRequest).failed(this.#indexes[i] as number, error, outcome);
    }
  }
}
