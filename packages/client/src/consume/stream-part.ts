import {
  type AssignedFrame,
  type CommitOutcome,
  type CommitPosition,
  type ConsumingFrame,
  encodeCommit,
  encodeRelease,
  errorNameOf,
  MillraceError,
  type RevokedFrame,
} from "@millrace/protocol";
import { ReadyTurns } from "../ready-turns.ts";
import { type ConsumeSettings, windowBytesOf } from "../settings.ts";
import { Arrivals } from "../subscribe/arrivals.ts";
import { DeliveryWindow } from "../subscribe/delivery-window.ts";
import type { TimerHandle } from "../system-clock.ts";
import type { ConsumedMessage } from "./consumed-message.ts";
import type { ConsumerPart, PartHandlers } from "./consumer-part.ts";
import {
  type ConsumeContext,
  ConsumerSession,
  type ConsumeTarget,
  type Demand,
  type SessionHandlers,
} from "./consumer-session.ts";
import { HeldPartition } from "./held-partition.ts";
import { InHand } from "./in-hand.ts";
import type { Failure } from "./message-source.ts";
import type { StreamMessage } from "./stream-message.ts";

/** Of the time that a revocation leaves, what committing and releasing may take. */
const RELEASE_SHARE = 0.25;

/** Consumes a subscription of mode `stream`: the partitions that the broker assigns to this member. */
export class StreamPart implements ConsumerPart, SessionHandlers {
  readonly #target: ConsumeTarget;
  readonly #settings: ConsumeSettings;
  readonly #hasHandler: boolean;
  readonly #context: ConsumeContext;
  readonly #handlers: PartHandlers;
  readonly #session: ConsumerSession;
  readonly #window: DeliveryWindow = new DeliveryWindow();
  readonly #partitions: Map<number, HeldPartition> = new Map();
  readonly #inHand: InHand<ConsumedMessage>;
  readonly #turns: ReadyTurns<HeldPartition> = new ReadyTurns();
  #backoffMinMs = 0;
  #backoffMaxMs = 0;
  #commitTimer: TimerHandle;
  #isCommitSet = false;
  #commitsUnderWay = 0;
  /** Of the last commits, so that nothing is released before they are answered. */
  #lastCommit: Promise<unknown> = Promise.resolve();
  #isClosing = false;

  constructor(
    target: ConsumeTarget,
    settings: ConsumeSettings,
    hasHandler: boolean,
    context: ConsumeContext,
    handlers: PartHandlers,
  ) {
    this.#target = target;
    this.#settings = settings;
    this.#hasHandler = hasHandler;
    this.#context = context;
    this.#handlers = handlers;
    this.#session = new ConsumerSession(target, context, this);
    this.#inHand = new InHand(context.clock, () => true);
  }

  start(): void {
    this.#session.start();
  }

  // Messages.

  take(): ConsumedMessage | undefined {
    if (this.#isClosing) return undefined;
    const message = this.#turns.take((held) => this.#takeOf(held));
    if (message !== undefined && this.#hasHandler) this.#inHand.add(message);
    return message;
  }

  finish(message: ConsumedMessage, failure: Failure | undefined): void {
    const partition = this.#holderOf(message);
    const isDone = failure === undefined || (message as StreamMessage).isAcked;
    if (failure !== undefined) this.#handlers.onError(failure.error, message);
    if (partition !== undefined) {
      if (isDone) this.#finish(partition);
      else this.#retryLater(partition);
      this.#commitLater();
    }
    this.#inHand.delete(message);
  }

  pass(message: ConsumedMessage): void {
    const partition = this.#holderOf(message);
    if (partition === undefined) return;
    this.#finish(partition);
    this.#commitLater();
  }

  /** Everything that is done with; in the pull form everything that was handed out. */
  async commit(): Promise<void> {
    await this.#commit([...this.#partitions.values()], !this.#hasHandler);
  }

  async close(timeoutMs: number): Promise<void> {
    const { clock } = this.#context;
    this.#isClosing = true;
    this.#session.stopReopening();
    for (const { retryTimer } of this.#partitions.values()) clock.clearTimer(retryTimer);
    await this.#inHand.emptied(timeoutMs);
    if (this.#settings.autoCommit) await this.#commitAll();
    await this.#session.stop();
    this.#drop(new MillraceError("CLOSED", "the consumer was closed before the message was done with"));
  }

  end(error: MillraceError): void {
    this.#isClosing = true;
    this.#session.end();
    this.#drop(error);
  }

  // From the session.

  demand(frameBytesMax: number): Demand {
    const windowBytes = windowBytesOf(this.#settings.windowBytes, frameBytesMax);
    return { slots: 0, creditLimit: this.#window.open(windowBytes, frameBytesMax) };
  }

  onConsuming({ subscription }: ConsumingFrame): void {
    this.#backoffMinMs = subscription.backoffMinMs;
    this.#backoffMaxMs = subscription.backoffMaxMs;
    this.#handlers.onAccepted();
  }

  onLost(error: MillraceError, beginsAnew: boolean): void {
    this.#drop(error);
    if (beginsAnew) this.#handlers.onError(error);
  }

  onFailed(error: MillraceError): void {
    this.#drop(error);
    this.#handlers.onFailed(error);
  }

  onDraining(): void {
    if (this.#settings.autoCommit) void this.#commitAll();
  }

  isQuiet(): boolean {
    return this.#commitsUnderWay === 0;
  }

  onAssigned({ partitions }: AssignedFrame): void {
    const { topic } = this.#target;
    const { consumers } = this.#context;
    for (const assigned of partitions) {
      const { partition, streamId, startOffset, logStartOffset } = assigned;
      this.#remove(this.#partitions.get(partition), assignmentLost(topic, partition));
      const handlers = {
        onGap: this.#handlers.onGap,
        onCredit: (creditLimit: number) => this.#session.sendCredit({ slots: 0, creditLimit }),
      };
      const arrivals = new Arrivals(topic, this.#settings.verifyChecksums, handlers, this.#window);
      const held = new HeldPartition(assigned, arrivals);
      if (logStartOffset > startOffset) arrivals.addSkip(held.cursor, logStartOffset, "retention");
      this.#partitions.set(partition, held);
      consumers.bindStream(streamId, this.#session, partition);
      this.#handlers.onAssigned(partition, Math.max(startOffset, logStartOffset));
      this.#wake(held);
    }
  }

  onRevoked({ partitions, withinMs }: RevokedFrame): void {
    const { topic } = this.#target;
    const { clock } = this.#context;
    for (const { partition, assignmentEpoch } of partitions) {
      const held = this.#partitions.get(partition);
      if (held === undefined || held.assignmentEpoch !== assignmentEpoch) continue;
      held.lose(assignmentLost(topic, partition));
      clock.clearTimer(held.retryTimer);
      this.#giveCredit(held.arrivals.clear());
      this.#handlers.onRevoked(partition);
      if (withinMs === 0) this.#remove(held, assignmentLost(topic, partition));
      else void this.#release(held, withinMs);
    }
  }

  onDeliver(partition: number, bytes: Uint8Array, nextOffset: number): void {
    const held = this.#partitions.get(partition);
    if (held === undefined) return;
    held.arrivals.addFrame(held.cursor, bytes, nextOffset);
    if (held.isRevoked) this.#giveCredit(held.arrivals.clear());
    else this.#wake(held);
  }

  onProgress(partition: number, nextOffset: number, reason: string): void {
    const held = this.#partitions.get(partition);
    if (held === undefined || held.isRevoked) return;
    held.arrivals.addSkip(held.cursor, nextOffset, reason);
    this.#wake(held);
    this.#commitLater();
  }

  onLeased(): void {}

  onSettled(): void {}

  /** What cannot be read fails the consumer: after it nothing of the partition could be had. */
  #takeOf(partition: HeldPartition): StreamMessage | undefined {
    try {
      return partition.take();
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      void this.#session.stop();
      this.onFailed(error);
      return undefined;
    }
  }

  #holderOf(message: ConsumedMessage): HeldPartition | undefined {
    const held = this.#partitions.get(message.partition);
    return held?.inHand === message ? held : undefined;
  }

  #finish(held: HeldPartition): void {
    held.finish();
    this.#turns.add(held);
  }

  #wake(held: HeldPartition): void {
    this.#turns.add(held);
    this.#handlers.onMessages();
  }

  /** Order is kept: the partition waits for its message. */
  #retryLater(held: HeldPartition): void {
    if (held.isRevoked || this.#isClosing) return;
    const delayMs = Math.min(this.#backoffMaxMs, this.#backoffMinMs * 2 ** Math.min(held.failures, 30));
    held.failures += 1;
    held.retryTimer = this.#context.clock.setTimer(() => {
      held.isRetryDue = true;
      this.#wake(held);
    }, delayMs);
  }

  #commitLater(): void {
    if (!this.#settings.autoCommit || this.#isCommitSet || this.#isClosing) return;
    this.#isCommitSet = true;
    this.#commitTimer = this.#context.clock.setTimer(() => {
      this.#isCommitSet = false;
      void this.#commitAll();
    }, this.#settings.commitIntervalMs);
  }

  /** Commits by itself; a failure is reported, and made good by the next one. */
  async #commitAll(): Promise<void> {
    try {
      await this.#commit([...this.#partitions.values()], false);
    } catch (error) {
      this.#handlers.onError(error);
    }
  }

  async #commit(all: readonly HeldPartition[], withInHand: boolean): Promise<void> {
    const positions = all.flatMap((held) => held.uncommitted(withInHand) ?? []);
    if (positions.length === 0) return;
    const committed = this.#askCommit(positions);
    this.#lastCommit = Promise.allSettled([this.#lastCommit, committed]);
    await committed;
  }

  async #askCommit(positions: readonly CommitPosition[]): Promise<void> {
    this.#commitsUnderWay += 1;
    try {
      const outcomes = await this.#session.ask<readonly CommitOutcome[]>((writer, requestId, consumerId) =>
        encodeCommit(writer, { requestId, consumerId, positions }),
      );
      for (const outcome of outcomes) this.#onCommitted(outcome, positions);
    } finally {
      this.#commitsUnderWay -= 1;
    }
  }

  #onCommitted({ partition, offset, outcome }: CommitOutcome, positions: readonly CommitPosition[]): void {
    const epoch = positions.find((one) => one.partition === partition)?.assignmentEpoch;
    const held = this.#partitions.get(partition);
    if (held === undefined || held.assignmentEpoch !== epoch) return;
    if (outcome === 0) {
      held.onCommitted(offset);
      return;
    }
    const code = errorNameOf(outcome) ?? "INTERNAL";
    const message = `the position in ${this.#target.topic}/${partition} was not committed: ${code}`;
    const error = new MillraceError(code, message, { details: { partition, offset, outcome } });
    this.#handlers.onError(error);
    if (code !== "ASSIGNMENT_LOST") return;
    this.#remove(held, error);
  }

  /** Lets the message in hand be finished, commits, and gives the partition back, within the time. */
  async #release(held: HeldPartition, withinMs: number): Promise<void> {
    const { partition, assignmentEpoch } = held;
    const message = held.inHand;
    if (message !== undefined && this.#inHand.has(message)) {
      await this.#inHand.finished(message, withinMs * (1 - RELEASE_SHARE));
    }
    if (this.#settings.autoCommit) await this.#commit([held], false).catch(this.#handlers.onError);
    await this.#lastCommit;
    // Taken away, or assigned anew, meanwhile.
    if (this.#partitions.get(partition) !== held) return;
    this.#session.send(encodeRelease, (consumerId) => ({
      consumerId,
      partitions: [{ partition, assignmentEpoch }],
    }));
    this.#remove(held, assignmentLost(this.#target.topic, partition));
  }

  #giveCredit(creditLimit: number | undefined): void {
    if (creditLimit !== undefined) this.#session.sendCredit({ slots: 0, creditLimit });
  }

  #remove(held: HeldPartition | undefined, error: MillraceError): void {
    if (held === undefined) return;
    const { consumers, clock } = this.#context;
    clock.clearTimer(held.retryTimer);
    held.lose(error);
    this.#giveCredit(held.arrivals.clear());
    this.#turns.delete(held);
    consumers.unbindStream(this.#session, held.partition);
    this.#partitions.delete(held.partition);
  }

  #drop(error: MillraceError): void {
    this.#context.clock.clearTimer(this.#commitTimer);
    this.#isCommitSet = false;
    for (const held of [...this.#partitions.values()]) {
      if (!held.isRevoked) this.#handlers.onRevoked(held.partition);
      this.#remove(held, error);
    }
    this.#turns.clear();
  }
}

function assignmentLost(topic: string, partition: number): MillraceError {
  return new MillraceError("ASSIGNMENT_LOST", `${topic}/${partition} is assigned to another consumer`);
}
