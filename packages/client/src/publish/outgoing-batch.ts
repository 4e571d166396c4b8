import type { BatchBuilder, MillraceError } from "@millrace/protocol";
import type { BatchResult, PublishResult } from "../api/record.ts";

/** Settles the promise of one `send`. */
export type ResolveSend = (result: PublishResult | Promise<PublishResult>) => void;

type ResolveWhole = (result: BatchResult | Promise<BatchResult>) => void;

// One function for all promises: a closure each would cost as much as the promise.
let keptResolve: ResolveWhole | undefined;
const keepResolve = (resolve: ResolveWhole): void => {
  keptResolve = resolve;
};

/** Sequences were never given, or those of an earlier numbering. */
export const UNNUMBERED = -1;

/** One batch from its first record to its acknowledgement, with the promises that wait for it. */
export class OutgoingBatch {
  readonly builder: BatchBuilder;
  /** On the client's clock: when its first record came. */
  readonly createdAt: number;
  /** It has lingered long enough and may be sent as soon as there is room. */
  due = false;
  /** The PUBLISH frame in the builder's buffer, once made; dropped when its head must change. */
  frame: Uint8Array | undefined;
  baseSequence: number = UNNUMBERED;
  /** The numbering of its partition that `baseSequence` belongs to. */
  numbering: number = UNNUMBERED;
  /** How often it was sent under its present numbering. */
  attempts = 0;
  /** Answered in this session, with an error that leads to another attempt. */
  answer: MillraceError | undefined;
  /** The last such error, of whichever attempt. */
  refusal: MillraceError | undefined;
  /** Its time is over and its promises are rejected, but the broker's word on it is still to come. */
  abandoned = false;
  /** Bytes that count against the producer's buffer. */
  bytes = 0;
  /** By index of the record; holes where `append` was used. */
  #sends: (ResolveSend | undefined)[] | undefined;
  #waiters: (() => void)[] | undefined;
  #whole: Promise<BatchResult> | undefined;
  #resolveWhole: ResolveWhole | undefined;

  constructor(builder: BatchBuilder, createdAt: number) {
    this.builder = builder;
    this.createdAt = createdAt;
  }

  get count(): number {
    return this.builder.count;
  }

  /** Whether somebody asked for the promise of the whole batch, that is, used `append`. */
  get isAwaitedAsWhole(): boolean {
    return this.#whole !== undefined;
  }

  /** Ties a promise to the record appended last. */
  addSend(resolve: ResolveSend): void {
    this.#sends ??= [];
    const sends = this.#sends;
    const index = this.builder.count - 1;
    while (sends.length < index) sends.push(undefined);
    sends.push(resolve);
  }

  /** The promise of the whole batch. It may be ignored: its rejection never counts as unhandled. */
  get whole(): Promise<BatchResult> {
    if (this.#whole === undefined) {
      this.#whole = new Promise(keepResolve);
      this.#resolveWhole = keptResolve;
    }
    return this.#whole;
  }

  /** Resolves, never rejects, once its promises are settled: for `flush`. */
  get settled(): Promise<void> {
    if (this.abandoned) return Promise.resolve();
    this.#waiters ??= [];
    const waiters = this.#waiters;
    return new Promise((resolve) => waiters.push(resolve));
  }

  resolve(result: BatchResult): void {
    const sends = this.#sends;
    const { topic, topicId, partition, baseOffset, logEpoch, durability } = result;
    if (sends !== undefined) {
      for (let i = 0; i < sends.length; i += 1) {
        const offset = baseOffset < 0 ? baseOffset : baseOffset + i;
        sends[i]?.({ topic, topicId, partition, offset, logEpoch, durability });
      }
    }
    this.#resolveWhole?.(result);
    this.#finish();
  }

  reject(error: MillraceError): void {
    // One rejected promise for all of them: a `send` keeps its resolve function only.
    const failed = Promise.reject(error);
    failed.catch(ignore);
    for (const resolve of this.#sends ?? []) resolve?.(failed);
    this.#whole?.catch(ignore);
    this.#resolveWhole?.(failed);
    this.#finish();
  }

  #finish(): void {
    this.#sends = undefined;
    for (const wake of this.#waiters ?? []) wake();
    this.#waiters = undefined;
  }
}

function ignore(): void {}
