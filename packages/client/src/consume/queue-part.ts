import {
  BatchReader,
  type ConsumingFrame,
  crc32,
  encodeSettle,
  type LeasedFrame,
  type LeasedRow,
  MillraceError,
  SETTLE_ACTION,
  type SettleAction,
  type SettledFrame,
  type SettleRow,
} from "@millrace/protocol";
import { refusal } from "../deferred.ts";
import { Deque } from "../deque.ts";
import { type ConsumeSettings, closedError, windowBytesOf } from "../settings.ts";
import { ReceivedRecordBatch } from "../subscribe/received-record-batch.ts";
import type { ConsumedMessage } from "./consumed-message.ts";
import type { ConsumerPart, PartHandlers } from "./consumer-part.ts";
import {
  type ConsumeContext,
  ConsumerSession,
  type ConsumeTarget,
  type Demand,
  type SessionHandlers,
} from "./consumer-session.ts";
import { InHand } from "./in-hand.ts";
import { Lease } from "./lease.ts";
import { LeaseRenewal } from "./lease-renewal.ts";
import { LeasedMessage, type Settler } from "./leased-message.ts";
import type { Failure } from "./message-source.ts";
import { Settlements } from "./settlements.ts";

/** Consumes a subscription of mode `queue` or `keyed`. */
export class QueuePart implements ConsumerPart, SessionHandlers, Settler {
  readonly #target: ConsumeTarget;
  readonly #settings: ConsumeSettings;
  readonly #handlers: PartHandlers;
  /** With a handler messages are finished when it returns, otherwise when they are settled. */
  readonly #hasHandler: boolean;
  readonly #session: ConsumerSession;
  readonly #settlements: Settlements;
  readonly #renewal: LeaseRenewal;
  readonly #inHand: InHand<LeasedMessage>;
  /** Arrived and not begun. */
  readonly #ready: Deque<LeasedMessage> = new Deque();
  #watched: { readonly settled: Promise<void>; readonly messages: ConsumedMessage[] } | undefined;
  #topicId = -1;
  #deadLetterTopic: string | null = null;
  #creditLimit = 0;
  /** Takes nothing more. */
  #isClosing = false;
  #isDraining = false;

  constructor(
    target: ConsumeTarget,
    settings: ConsumeSettings,
    hasHandler: boolean,
    context: ConsumeContext,
    handlers: PartHandlers,
  ) {
    const { clock } = context;
    this.#target = target;
    this.#settings = settings;
    this.#hasHandler = hasHandler;
    this.#handlers = handlers;
    this.#session = new ConsumerSession(target, context, this);
    this.#settlements = new Settlements(clock, (rows) => this.#sendSettle(rows));
    this.#renewal = new LeaseRenewal(clock, this.#settlements, settings.maxLeaseMs);
    this.#inHand = new InHand(clock, () => this.#settlements.underWay === 0);
  }

  start(): void {
    this.#session.start();
  }

  // Messages.

  take(): ConsumedMessage | undefined {
    if (this.#isClosing || this.#isDraining) return undefined;
    const message = this.#ready.shift();
    if (message !== undefined) this.#inHand.add(message);
    return message;
  }

  finish(message: ConsumedMessage, failure: Failure | undefined): void {
    const leased = message as LeasedMessage;
    const { isOver } = leased.lease;
    // Of a session that is over nothing can be settled, which was reported with its end.
    if (!leased.isSettled && !isOver) {
      this.#watch(failure === undefined ? leased.ack() : leased.nack(), message);
    }
    if (failure !== undefined) this.#handlers.onError(failure.error, message);
    this.#inHand.delete(leased);
    // It took up a slot that the present session was not told of.
    if (isOver) this.#grant();
  }

  /** Reports the message if it could not be settled. Neighbours are settled by one promise, which is watched once. */
  #watch(settled: Promise<void>, message: ConsumedMessage): void {
    const watched = this.#watched;
    if (watched?.settled === settled) {
      watched.messages.push(message);
      return;
    }
    const messages = [message];
    this.#watched = { settled, messages };
    settled.catch((error: unknown) => {
      for (const one of messages) this.#handlers.onError(error, one);
    });
  }

  pass(): void {}

  settle(message: LeasedMessage, action: SettleAction, argument?: number | string): Promise<void> {
    const { lease, offset } = message;
    lease.drop(message);
    if (lease.heldCount === 0) this.#renewal.remove(lease);
    if (!this.#hasHandler) this.#inHand.delete(message);
    // An expired lease still takes up its slot until it is settled.
    if (lease.isOver) return refusal(message.gone ?? closedError("consumer"));
    return this.#settlements.settle(lease, action, offset, argument);
  }

  extend(message: LeasedMessage, ms: number | undefined): Promise<void> {
    const { gone, lease } = message;
    return gone === undefined ? this.#renewal.extend(lease, ms) : refusal(gone);
  }

  commit(): Promise<void> {
    return Promise.resolve();
  }

  async close(timeoutMs: number): Promise<void> {
    this.#isClosing = true;
    this.#session.stopReopening();
    this.#giveBack();
    await this.#inHand.emptied(timeoutMs);
    const error = new MillraceError("CLOSED", "the consumer was closed before the message was settled");
    this.#settlements.flush();
    this.#renewal.clear(error);
    await this.#session.stop();
    this.#drop(error);
  }

  end(error: MillraceError): void {
    this.#isClosing = true;
    this.#session.end();
    this.#drop(error);
  }

  // From the session.

  demand(frameBytesMax: number): Demand {
    this.#creditLimit = windowBytesOf(this.#settings.windowBytes, frameBytesMax);
    return { slots: this.#freeSlots, creditLimit: this.#creditLimit };
  }

  onConsuming({ topicId, subscription }: ConsumingFrame): void {
    this.#topicId = topicId;
    this.#deadLetterTopic = subscription.deadLetterTopic;
    this.#isDraining = false;
    this.#renewal.start(subscription.leaseMs);
    this.#handlers.onAccepted();
    if (this.#isClosing) this.#session.sendCredit({ slots: 0, creditLimit: this.#creditLimit });
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
    this.#isDraining = true;
    this.#giveBack();
  }

  isQuiet(): boolean {
    if (this.#settlements.underWay > 0) return false;
    return !this.#hasHandler || this.#inHand.size === this.#orphans;
  }

  onLeased({ rows }: LeasedFrame): void {
    for (const row of rows) this.#addLease(row);
    if (this.#isClosing || this.#isDraining) this.#releaseReady();
    else this.#handlers.onMessages();
  }

  onSettled(frame: SettledFrame): void {
    this.#settlements.onSettled(frame);
    this.#inHand.check();
  }

  onAssigned(): void {}

  onRevoked(): void {}

  onDeliver(): void {}

  onProgress(): void {}

  #addLease(row: LeasedRow): void {
    const { partition, baseOffset, count, appendTimeMs, deliveryCount } = row;
    const topic = this.#topicOf(row.topicId);
    const batch = this.#open(row, topic);
    const { renewAtMs, endMs } = this.#renewal.timesOfNew();
    const lease = new Lease(row, renewAtMs, endMs);
    const records = new ReceivedRecordBatch(
      topic,
      partition,
      batch,
      baseOffset,
      baseOffset,
      baseOffset + count,
      appendTimeMs,
    );
    for (let i = 0; i < count; i += 1) {
      const record = records.recordAt(i);
      // Nobody is to see it, and it is not to come again.
      if (record === undefined) {
        void this.#settlements.settle(lease, SETTLE_ACTION.ACK, baseOffset + i);
        continue;
      }
      this.#ready.push(new LeasedMessage(record, deliveryCount, lease, this));
    }
    if (lease.heldCount > 0) this.#renewal.add(lease);
  }

  /** @throws MillraceError INVALID_BATCH, COUNT_MISMATCH, CHECKSUM_MISMATCH, UNSUPPORTED_FEATURE */
  #open({ batch, checksum, count, baseOffset, partition }: LeasedRow, topic: string): BatchReader {
    const reader = new BatchReader();
    reader.reset(batch, 0, batch.length);
    const details = { topic, partition, baseOffset };
    if (reader.count !== count) {
      const message = `a lease of ${topic}/${partition}@${baseOffset} has ${reader.count} records, not ${count}`;
      throw new MillraceError("COUNT_MISMATCH", message, { details });
    }
    if (!this.#settings.verifyChecksums || checksum === undefined) return reader;
    if (crc32(batch, 0, batch.length) === checksum) return reader;
    const message = `batch at offset ${baseOffset} of ${topic}/${partition} is not what its producer made`;
    throw new MillraceError("CHECKSUM_MISMATCH", message, { details });
  }

  #topicOf(topicId: number): string {
    const { topic } = this.#target;
    return topicId === this.#topicId ? topic : (this.#deadLetterTopic ?? `${topic}.dlq`);
  }

  /** Messages of a lost session that a handler still works on. */
  get #orphans(): number {
    let count = 0;
    for (const { lease } of this.#inHand) if (lease.isOver) count += 1;
    return count;
  }

  /** Those take up a slot each. */
  get #freeSlots(): number {
    const { prefetch } = this.#settings;
    return this.#hasHandler ? Math.max(1, prefetch - this.#orphans) : prefetch;
  }

  #grant(): void {
    if (this.#isClosing || this.#isDraining) return;
    this.#session.sendCredit({ slots: this.#freeSlots, creditLimit: this.#creditLimit });
  }

  /** Nothing more is to come, and what was not begun goes back at once. */
  #giveBack(): void {
    this.#session.sendCredit({ slots: 0, creditLimit: this.#creditLimit });
    this.#releaseReady();
  }

  #releaseReady(): void {
    for (let message = this.#ready.shift(); message !== undefined; message = this.#ready.shift()) {
      void message.release();
    }
  }

  #drop(error: MillraceError): void {
    this.#renewal.clear(error);
    for (let message = this.#ready.shift(); message !== undefined; message = this.#ready.shift()) {
      message.lease.isOver = true;
      message.lose(error);
    }
    for (const { lease } of this.#inHand) lease.isOver = true;
    this.#inHand.lose(error);
    this.#settlements.abandon(error.code === "CLOSED" ? closedError("consumer") : error);
    if (!this.#hasHandler) this.#inHand.clear();
    this.#inHand.check();
  }

  #sendSettle(rows: readonly SettleRow[]): void {
    this.#session.send(encodeSettle, (consumerId) => ({ consumerId, rows }));
  }
}
