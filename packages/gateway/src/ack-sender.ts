import { DURABILITIES } from "@millrace/broker/internal";
import {
  DURABILITY,
  ERROR_CODES,
  type ErrorName,
  encodeError,
  errorNameOf,
  type FrameWriter,
  writeAckHead,
  writeAckRange,
} from "@millrace/protocol";
import { ACK_QUEUE_FULL, ACKED, AckQueue } from "./ack-queue.ts";
import type { Clock } from "./clock.ts";
import { settleInFlight } from "./in-flight.ts";
import type { PublishCreditPool } from "./publish-credit.ts";
import type { Session } from "./session.ts";

/** Wire numbers by the index that rings and journal use. */
const WIRE_DURABILITY: readonly number[] = DURABILITIES.map((name) => DURABILITY[name]);

const WHY: Readonly<Partial<Record<ErrorName, string>>> = {
  UNKNOWN_TOPIC: "there is no topic with this id",
  UNKNOWN_PARTITION: "the topic has no such partition",
  TOPIC_DELETED: "the topic was deleted",
  UNSUPPORTED_FEATURE:
    "the batch uses a codec, schema or record feature that this release does not implement",
  INVALID_BATCH: "the batch is not what its head says",
  CHECKSUM_MISMATCH: "the batch does not have the checksum that came with it",
  COUNT_MISMATCH: "the batch does not hold as many records as its head says",
  RECORD_TOO_LARGE: "a record of the batch is larger than the limit",
  BATCH_TOO_LARGE: "the batch is larger than the limit",
  OUT_OF_SEQUENCE: "an earlier batch of this producer is missing: resend from there",
  DUPLICATE_SEQUENCE: "the batch is stored already; its offset is no longer known",
  UNKNOWN_PRODUCER: "this producer is not known (any more): start again at sequence 0 with a new epoch",
  PRODUCER_FENCED: "another instance with a higher epoch took this producer over",
  THROTTLED: "the shard has no room: retry later",
  DISK_FULL: "the disk is full",
  JOURNAL_FAILED: "the shard's journal failed; an operator must repair it",
  SHARD_RESTARTED: "the shard was restarted: retry",
  SERVER_DRAINING: "the broker is shutting down: retry elsewhere or later",
};

/**
 * Collects what became of publishes and tells their sessions, one ACK frame a session and drain: an ACK per publish is
 * a system call per publish. Publish errors are told in between, in the order in which they happened.
 */
export class AckSender {
  readonly #writer: FrameWriter;
  readonly #credit: PublishCreditPool;
  readonly #clock: Clock;
  #dirty: Session[] = [];
  #flushPlanned = false;

  constructor(writer: FrameWriter, credit: PublishCreditPool, clock: Clock) {
    this.#writer = writer;
    this.#credit = credit;
    this.#clock = clock;
  }

  ack(
    session: Session,
    topicId: number,
    partition: number,
    producerId: number,
    firstSequence: number,
    count: number,
    baseOffset: number,
    logEpoch: number,
    durability: number,
  ): void {
    settleInFlight(session, topicId, partition, count);
    session.acks ??= new AckQueue();
    const outcome = session.acks.addAck(
      topicId,
      partition,
      producerId,
      firstSequence,
      count,
      baseOffset,
      logEpoch,
      durability,
    );
    this.#added(session, outcome);
  }

  /** A publish that a shard refused: `count` records are no longer in flight. */
  error(
    session: Session,
    topicId: number,
    partition: number,
    producerId: number,
    firstSequence: number,
    count: number,
    errorNumber: number,
    retryAfterMs: number,
  ): void {
    settleInFlight(session, topicId, partition, count);
    // An ERROR carries no limit, as an ACK does.
    this.#credit.refill(session.credit);
    this.refuse(session, topicId, partition, producerId, firstSequence, count, errorNumber, retryAfterMs);
  }

  /** A publish that the gateway itself refuses; sent at the end of this turn, if not earlier. */
  refuse(
    session: Session,
    topicId: number,
    partition: number,
    producerId: number,
    firstSequence: number,
    count: number,
    errorNumber: number,
    retryAfterMs: number,
  ): void {
    session.acks ??= new AckQueue();
    const outcome = session.acks.addError(
      errorNumber,
      topicId,
      partition,
      producerId,
      firstSequence,
      count,
      retryAfterMs,
    );
    this.#added(session, outcome);
    if (!this.#flushPlanned) {
      this.#flushPlanned = true;
      this.#clock.soon(() => {
        this.#flushPlanned = false;
        this.flush();
      });
    }
  }

  /** Every unanswered publish of the session to that partition failed. */
  refuseAll(
    session: Session,
    topicId: number,
    partition: number,
    errorNumber: number,
    retryAfterMs: number,
  ): void {
    this.refuse(session, topicId, partition, 0, -1, 0, errorNumber, retryAfterMs);
  }

  /** End of a drain. */
  flush(): void {
    if (this.#dirty.length === 0) return;
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const session of dirty) this.flushSession(session);
  }

  /** Sends what the session is owed, unless its socket is full: then all of it waits, merged, for the drain. */
  flushSession(session: Session): void {
    session.acksDirty = false;
    const acks = session.acks;
    if (acks === undefined || acks.length === 0) return;
    if (session.isClosed) {
      acks.clear();
      return;
    }
    if (!session.canSend()) return;
    const length = acks.length;
    let start = 0;
    for (let item = 0; item < length; item += 1) {
      if (acks.kind(item) === ACKED) continue;
      if (item > start) this.#sendAcks(session, acks, start, item);
      this.#sendError(session, acks, item);
      start = item + 1;
    }
    if (length > start) this.#sendAcks(session, acks, start, length);
    acks.clear();
  }

  #added(session: Session, outcome: number): void {
    if (outcome === ACK_QUEUE_FULL) {
      session.abort("TOO_MANY_REQUESTS", "the client publishes without reading its acks");
      return;
    }
    if (session.acksDirty) return;
    session.acksDirty = true;
    this.#dirty.push(session);
  }

  #sendAcks(session: Session, acks: AckQueue, start: number, end: number): void {
    const writer = this.#writer;
    writer.reset();
    writeAckHead(writer, this.#credit.announce(session.credit), end - start);
    for (let item = start; item < end; item += 1) {
      writeAckRange(
        writer,
        acks.topicId(item),
        acks.partition(item),
        acks.producerId(item),
        acks.firstSequence(item),
        acks.count(item),
        acks.baseOffset(item),
        acks.logEpoch(item),
        WIRE_DURABILITY[acks.durability(item)] as number,
      );
    }
    session.sendWritten();
  }

  #sendError(session: Session, acks: AckQueue, item: number): void {
    const number = acks.kind(item);
    const name = errorNameOf(number) ?? "INTERNAL";
    const retryAfterMs = acks.retryAfterMs(item);
    const firstSequence = acks.firstSequence(item);
    const details: Record<string, number> = { topicId: acks.topicId(item), partition: acks.partition(item) };
    if (firstSequence >= 0) {
      details.producerId = acks.producerId(item);
      details.firstSequence = firstSequence;
      details.count = acks.count(item);
    }
    if (retryAfterMs > 0) details.retryAfterMs = retryAfterMs;
    const writer = this.#writer;
    writer.reset();
    encodeError(writer, {
      code: number,
      name,
      retriable: ERROR_CODES[name].retriable,
      message: WHY[name] ?? "the publish was refused",
      details,
    });
    session.sendWritten();
  }
}
