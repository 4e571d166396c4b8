import { durabilityName, MillraceError } from "@millrace/protocol";
import type { Backoff } from "../backoff.ts";
import { Deque } from "../deque.ts";
import type { Clock, TimerHandle } from "../system-clock.ts";
import type { OutgoingBatch } from "./outgoing-batch.ts";
import type { Publisher } from "./publisher.ts";

/** One entry of an ACK frame. */
export interface AckRange {
  readonly topicId: number;
  readonly partition: number;
  readonly producerId: number;
  readonly firstSequence: number;
  readonly count: number;
  readonly baseOffset: number;
  readonly logEpoch: number;
  readonly durability: number;
}

/** What an outbox needs of its producer and of the session. */
export interface OutboxOwner {
  readonly topic: string;
  readonly clock: Clock;
  /** Batches of a partition that may be under way, if the session allows so many. */
  readonly inFlightMax: number;
  /** Draws an id and has the outbox found under it from now on. */
  newProducerId(outbox: PartitionOutbox): number;
  /** The batch was taken out of `building`. */
  onClosed(outbox: PartitionOutbox): void;
  /** The batch is settled and its memory free; `error` is undefined for a stored one. */
  onDone(batch: OutgoingBatch, error: MillraceError | undefined): void;
}

/** "No hole": higher than any sequence. */
const NONE = Number.POSITIVE_INFINITY;

/**
 * The batches of one partition, in order, with their sequences. Sequences count records. A batch gets its own when it
 * is first sent, and keeps it through every retry, so that the broker stores it once.
 *
 * When one is refused with an error that can be retried, its successors are refused as OUT_OF_SEQUENCE. The outbox
 * then stops, waits until everything under way is answered, and sends all of it again in order.
 *
 * When one is refused for good it leaves a hole in the sequences, and nothing after it can have been stored. The
 * outbox waits until everything under way is answered and everything before the hole is settled; then it raises the
 * producer's epoch for this partition, which fences whatever may still be travelling, and numbers the rest anew
 * from 0. It may move to another connection, once nothing of it is under way on the one it has. The same mends a partition whose broker lost acknowledged records (the oldest batch is then
 * OUT_OF_SEQUENCE). UNKNOWN_PRODUCER and PRODUCER_FENCED are mended by a new producer id.
 */
export class PartitionOutbox {
  readonly topicId: number;
  readonly partition: number;
  readonly #owner: OutboxOwner;
  readonly #backoff: Backoff;
  readonly #batches: Deque<OutgoingBatch> = new Deque();
  /** Sends for it, and gives it its answers. */
  #publisher: Publisher;
  /** Sends for it from when everything under way is answered. */
  #nextPublisher: Publisher | undefined;
  /** The batch that takes records. Not yet one of the batches above. */
  building: OutgoingBatch | undefined;
  /** Whether it stands in the publisher's line. */
  scheduled = false;
  #producerId = 0;
  #epoch = 0;
  #nextSequence = 0;
  #numbering = 0;
  /** The first so many batches are under way; of these, so many have no answer yet. */
  #sent = 0;
  #unanswered = 0;
  /** A refusal came: nothing is sent until all answers are there; then, if `pausing`, after a pause. */
  #stalled = false;
  #pausing = false;
  /** The first sequence that will never be stored under the present numbering. */
  #holeAt: number = NONE;
  #idLost = false;
  /** Answers of this session may belong to earlier copies; see onErrorForAll. */
  #isUncertain = false;
  #retryTimer: TimerHandle;

  constructor(
    owner: OutboxOwner,
    publisher: Publisher,
    topicId: number,
    partition: number,
    backoff: Backoff,
  ) {
    this.#owner = owner;
    this.#publisher = publisher;
    this.topicId = topicId;
    this.partition = partition;
    this.#backoff = backoff;
    this.#producerId = owner.newProducerId(this);
  }

  get producerId(): number {
    return this.#producerId;
  }

  get publisher(): Publisher {
    return this.#publisher;
  }

  /** Goes by another connection as soon as nothing is under way on the present one; until then nothing more is sent. */
  moveTo(publisher: Publisher): void {
    const isMoving = this.#nextPublisher !== undefined;
    this.#nextPublisher = publisher === this.#publisher ? undefined : publisher;
    if (this.#nextPublisher !== undefined) this.#move();
    else if (isMoving) this.#publisher.schedule(this);
  }

  #move(): void {
    const next = this.#nextPublisher;
    if (next === undefined || this.#unanswered > 0) return;
    this.#publisher.unregister(this, this.#producerId);
    this.#publisher = next;
    this.#nextPublisher = undefined;
    this.scheduled = false;
    next.register(this, this.#producerId);
    next.schedule(this);
  }

  /** Whether nothing is left, neither building nor under way. */
  get isEmpty(): boolean {
    return this.#batches.length === 0 && this.building === undefined;
  }

  /** All batches that are not settled, oldest first. */
  *unsettled(): IterableIterator<OutgoingBatch> {
    for (let i = 0; i < this.#batches.length; i += 1) yield this.#batches.at(i) as OutgoingBatch;
    if (this.building !== undefined) yield this.building;
  }

  /** No more records for the batch that is building. */
  closeBuilding(): void {
    const batch = this.building;
    if (batch === undefined) return;
    this.building = undefined;
    // Here and not when it is sent: behind many others its bytes would have to come from far.
    batch.builder.complete();
    this.#batches.push(batch);
    this.#owner.onClosed(this);
    this.#publisher.schedule(this);
  }

  /**
   * The next PUBLISH frame, or undefined while nothing may be sent. The same one until `markSent`. A batch that is due
   * but not full is closed only here: while it cannot be sent, it goes on taking records.
   */
  nextFrame(inFlightMax: number): Uint8Array | undefined {
    if (this.#nextPublisher !== undefined) return undefined;
    if (this.#stalled || this.#sent >= inFlightMax || this.#sent >= this.#owner.inFlightMax) return undefined;
    if (this.#holeAt < NONE && !this.#isBeforeHole(this.#batches.at(this.#sent))) {
      if (this.#sent > 0) return undefined;
      this.#renumber();
    }
    if (this.#sent === this.#batches.length && this.building?.due === true) this.closeBuilding();
    const batch = this.#batches.at(this.#sent);
    if (batch === undefined) return undefined;
    if (batch.numbering !== this.#numbering) batch.baseSequence = this.#nextSequence;
    batch.frame ??= batch.builder.finishPublish(
      this.topicId,
      this.partition,
      this.#producerId,
      this.#epoch,
      batch.baseSequence,
    );
    return batch.frame;
  }

  /** The frame that `nextFrame` returned has been sent. */
  markSent(): void {
    const batch = this.#batches.at(this.#sent) as OutgoingBatch;
    if (batch.numbering !== this.#numbering) {
      batch.numbering = this.#numbering;
      this.#nextSequence += batch.count;
    }
    batch.attempts += 1;
    batch.answer = undefined;
    this.#sent += 1;
    this.#countUnanswered(1);
  }

  onAck(ack: AckRange): void {
    const end = ack.firstSequence + ack.count;
    const durability = durabilityName(ack.durability) ?? "memory";
    for (let i = this.#find(ack.firstSequence, end); i >= 0; i = this.#find(ack.firstSequence, end)) {
      const batch = this.#batches.at(i) as OutgoingBatch;
      this.#remove(i);
      const { topicId, partition } = this;
      batch.resolve({
        topic: this.#owner.topic,
        topicId,
        partition,
        baseOffset: ack.baseOffset + (batch.baseSequence - ack.firstSequence),
        count: batch.count,
        logEpoch: ack.logEpoch,
        durability,
      });
      this.#owner.onDone(batch, undefined);
    }
    this.#backoff.reset();
    this.#settle();
    this.#move();
    if (!this.#stalled) this.#publisher.schedule(this);
  }

  /** An error for the sequences [firstSequence, end). */
  onError(error: MillraceError, firstSequence: number, end: number): void {
    for (let i = this.#find(firstSequence, end); i >= 0; i = this.#find(firstSequence, end)) {
      this.#refuse(i, error);
    }
    this.#settle();
    this.#move();
  }

  /**
   * An error for everything of this partition that the broker had received by then. Frames that were still travelling
   * get an answer of their own, so from now on an answer may be one to an earlier copy of a batch.
   */
  onErrorForAll(error: MillraceError): void {
    this.#isUncertain = true;
    this.onError(error, 0, Number.POSITIVE_INFINITY);
  }

  /** The session is over: whatever has no answer goes again, under the same sequences. */
  onConnectionLost(): void {
    this.#owner.clock.clearTimer(this.#retryTimer);
    this.#countUnanswered(-this.#unanswered);
    this.#stalled = false;
    this.#pausing = false;
    this.#isUncertain = false;
    this.#sent = 0;
    this.#move();
  }

  /** The next session is there. */
  onConnected(): void {
    if (this.#batches.length > 0 || this.building?.due === true) this.#publisher.schedule(this);
  }

  /** Rejects the batches created before `createdBefore`, with an error that may tell the broker's last refusal. */
  expire(createdBefore: number, error: (refusal?: MillraceError) => MillraceError): void {
    const building = this.building;
    if (building !== undefined && building.createdAt < createdBefore) this.closeBuilding();
    for (let i = 0; i < this.#batches.length; ) {
      const batch = this.#batches.at(i) as OutgoingBatch;
      if (batch.createdAt >= createdBefore) break;
      if (batch.attempts === 0) {
        // Never sent, so it has no sequence yet.
        this.#fail(i, error());
        continue;
      }
      if (!batch.abandoned) {
        // Its sequence has to stay until the broker has spoken: a successor might be stored with or without it.
        batch.abandoned = true;
        batch.reject(error(batch.refusal));
      }
      i += 1;
    }
  }

  /** Rejects everything: the client is closed. */
  abort(error: MillraceError): void {
    this.#owner.clock.clearTimer(this.#retryTimer);
    this.closeBuilding();
    this.#countUnanswered(-this.#unanswered);
    this.#sent = 0;
    while (this.#batches.length > 0) this.#fail(0, error);
  }

  /** The first batch under way and without an answer that begins in the given sequences, or -1. */
  #find(firstSequence: number, end: number): number {
    for (let i = 0; i < this.#sent; i += 1) {
      const batch = this.#batches.at(i) as OutgoingBatch;
      if (batch.baseSequence >= end) return -1;
      if (batch.baseSequence >= firstSequence && batch.answer === undefined) return i;
    }
    return -1;
  }

  #refuse(index: number, error: MillraceError): void {
    const batch = this.#batches.at(index) as OutgoingBatch;
    if (error.code === "DUPLICATE_SEQUENCE") {
      this.#resolveForgotten(index, batch);
      return;
    }
    this.#stalled = true;
    // A producer that was never stored is unknown, also to the successors of its first batch: #settle looks at the oldest.
    const isRetried = error.retriable || error.code === "UNKNOWN_PRODUCER";
    if (isRetried && !(batch.abandoned && isCertainlyNotStored(batch, error))) {
      batch.answer = error;
      batch.refusal = error;
      this.#countUnanswered(-1);
      return;
    }
    if (error.code === "PRODUCER_FENCED") this.#idLost = true;
    this.#rejectAnswered(index, error);
    this.#countUnanswered(-1);
  }

  /** Rejects a batch that is under way; its sequences will never be used. */
  #rejectAnswered(index: number, error: MillraceError): void {
    const batch = this.#batches.at(index) as OutgoingBatch;
    this.#holeAt = Math.min(this.#holeAt, batch.baseSequence);
    this.#fail(index, error);
  }

  /** Stored by an earlier attempt, so long ago that the broker has forgotten the offsets. */
  #resolveForgotten(index: number, batch: OutgoingBatch): void {
    this.#remove(index);
    const { topicId, partition } = this;
    const { topic } = this.#owner;
    batch.resolve({
      topic,
      topicId,
      partition,
      baseOffset: -1,
      count: batch.count,
      logEpoch: 0,
      durability: "memory",
    });
    this.#owner.onDone(batch, undefined);
  }

  /** Takes an unanswered batch out of those under way. */
  #remove(index: number): void {
    this.#batches.removeAt(index);
    this.#sent -= 1;
    this.#countUnanswered(-1);
  }

  /** Takes a batch out and rejects it; whether it was under way without an answer is the caller's business. */
  #fail(index: number, error: MillraceError): void {
    const batch = this.#batches.at(index) as OutgoingBatch;
    if (index < this.#sent) this.#sent -= 1;
    this.#batches.removeAt(index);
    if (!batch.abandoned) batch.reject(error);
    this.#owner.onDone(batch, error);
  }

  #countUnanswered(change: number): void {
    this.#unanswered += change;
    if (change !== 0) this.#publisher.countUnanswered(change);
  }

  /** After a refusal: once everything under way is answered, sends it again. */
  #settle(): void {
    if (!this.#stalled || this.#pausing || this.#unanswered > 0) return;
    const oldest = this.#sent > 0 ? this.#batches.at(0) : undefined;
    const code = oldest?.answer?.code;
    // Nothing is before it, and yet the broker misses something: it lost acknowledged records, or the whole producer.
    const isLost = code === "OUT_OF_SEQUENCE" || code === "UNKNOWN_PRODUCER";
    const isBehindHole = oldest === undefined || oldest.baseSequence > this.#holeAt;
    if (oldest !== undefined && isLost && !isBehindHole) {
      if (this.#isUncertain) {
        // Numbering it anew while another copy may still be stored would store it twice. A new session is certain.
        this.#publisher.restartSession();
        return;
      }
      this.#holeAt = oldest.baseSequence;
      if (code === "UNKNOWN_PRODUCER") this.#loseId();
    }
    const isMended = isBehindHole && (code === undefined || isLost);
    const pauseMs = isMended ? 0 : this.#pauseMs();
    this.#sent = 0;
    if (pauseMs === 0) {
      this.#resume();
      return;
    }
    this.#pausing = true;
    this.#retryTimer = this.#owner.clock.setTimer(() => this.#resume(), pauseMs);
  }

  /** The broker has forgotten the producer. What was sent more than once may have been stored before that. */
  #loseId(): void {
    this.#idLost = true;
    for (let i = 0; i < this.#sent; ) {
      const batch = this.#batches.at(i) as OutgoingBatch;
      if (batch.attempts > 1 && batch.answer?.code === "UNKNOWN_PRODUCER")
        this.#rejectAnswered(i, batch.answer);
      else i += 1;
    }
  }

  #resume(): void {
    this.#stalled = false;
    this.#pausing = false;
    this.#publisher.schedule(this);
  }

  /** At least what the broker asked for. */
  #pauseMs(): number {
    let pauseMs = this.#backoff.next();
    for (let i = 0; i < this.#batches.length; i += 1) {
      const answer = this.#batches.at(i)?.answer;
      if (answer === undefined) break;
      const { retryAfterMs } = answer.details;
      if (typeof retryAfterMs === "number") pauseMs = Math.max(pauseMs, retryAfterMs);
    }
    return Math.max(1, pauseMs);
  }

  #isBeforeHole(batch: OutgoingBatch | undefined): boolean {
    return batch?.numbering === this.#numbering && batch.baseSequence < this.#holeAt;
  }

  #renumber(): void {
    if (this.#idLost) {
      this.#producerId = this.#owner.newProducerId(this);
      this.#epoch = 0;
    } else {
      this.#epoch += 1;
    }
    this.#holeAt = NONE;
    this.#idLost = false;
    this.#numbering += 1;
    this.#nextSequence = 0;
    for (let i = 0; i < this.#batches.length; ) {
      const batch = this.#batches.at(i) as OutgoingBatch;
      batch.frame = undefined;
      batch.attempts = 0;
      // Nobody waits for it, and now its sequence is not needed any more.
      if (batch.abandoned) this.#fail(i, batch.answer ?? new MillraceError("TIMEOUT", "given up"));
      else i += 1;
    }
  }
}

/** Whether the error says that neither this nor any earlier attempt was stored. */
function isCertainlyNotStored(batch: OutgoingBatch, error: MillraceError): boolean {
  if (error.code === "OUT_OF_SEQUENCE") return true;
  return batch.attempts === 1 && (error.code === "THROTTLED" || error.code === "DISK_FULL");
}
