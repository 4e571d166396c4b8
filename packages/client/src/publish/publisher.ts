import {
  type AckFrame,
  encodeCreditRequest,
  encodeCreditReturned,
  type MillraceError,
  type WelcomeFrame,
} from "@millrace/protocol";
import type { Connection } from "../connection/connection.ts";
import { Deque } from "../deque.ts";
import { IN_FLIGHT_BATCHES_MAX } from "../settings.ts";
import type { PartitionOutbox } from "./partition-outbox.ts";
import { PublishCredit } from "./publish-credit.ts";

/**
 * Sends the batches of all producers of a client in one line: a frame from each partition in turn, never past the
 * session's credit. Also finds the partition that an answer belongs to.
 */
export class Publisher {
  /** By producer id, then by partition. */
  readonly #outboxes: Map<number, Map<number, PartitionOutbox>> = new Map();
  readonly #line: Deque<PartitionOutbox> = new Deque();
  readonly #credit: PublishCredit = new PublishCredit();
  readonly #onAnswered: () => void;
  readonly #restartSession: () => void;
  #connection: Connection | undefined;
  #inFlightMax: number = IN_FLIGHT_BATCHES_MAX;
  #unanswered = 0;
  #creditRequested = false;
  #isPumping = false;

  /** `onAnswered` is called after each frame of answers; `restartSession` ends the session and begins another. */
  constructor(onAnswered: () => void, restartSession: () => void) {
    this.#onAnswered = onAnswered;
    this.#restartSession = restartSession;
  }

  restartSession(): void {
    this.#restartSession();
  }

  /** Batches without an answer in this session. */
  get unanswered(): number {
    return this.#unanswered;
  }

  countUnanswered(change: number): void {
    this.#unanswered += change;
  }

  /** From now on answers to `producerId` and the outbox's partition are the outbox's. */
  register(outbox: PartitionOutbox, producerId: number): void {
    let partitions = this.#outboxes.get(producerId);
    if (partitions === undefined) {
      partitions = new Map();
      this.#outboxes.set(producerId, partitions);
    }
    partitions.set(outbox.partition, outbox);
  }

  unregister(outbox: PartitionOutbox, producerId: number): void {
    const partitions = this.#outboxes.get(producerId);
    if (partitions?.get(outbox.partition) !== outbox) return;
    partitions.delete(outbox.partition);
    if (partitions.size === 0) this.#outboxes.delete(producerId);
  }

  /** The outbox may have something to send. */
  schedule(outbox: PartitionOutbox): void {
    if (!outbox.scheduled) {
      outbox.scheduled = true;
      this.#line.push(outbox);
    }
    this.#pump();
  }

  onConnected(connection: Connection, welcome: WelcomeFrame): void {
    this.#credit.reset(welcome.publishCredit);
    this.#creditRequested = false;
    this.#inFlightMax = welcome.limits.inFlightBatchesMax ?? IN_FLIGHT_BATCHES_MAX;
    this.#connection = connection;
    for (const outbox of this.#all()) outbox.onConnected();
    this.#pump();
  }

  /** What is under way is still answered, nothing new is sent. */
  onDraining(): void {
    this.#connection = undefined;
  }

  onDisconnected(): void {
    this.#connection = undefined;
    for (const outbox of this.#all()) outbox.onConnectionLost();
  }

  onAck(frame: AckFrame): void {
    this.#raise(frame.publishCreditLimit);
    // All answers first: what is sent next sees the whole of the room that they made.
    this.#isPumping = true;
    for (const range of frame.ranges) {
      const outbox = this.#outboxes.get(range.producerId)?.get(range.partition);
      if (outbox?.topicId === range.topicId) outbox.onAck(range);
    }
    this.#isPumping = false;
    this.#pump();
    this.#onAnswered();
  }

  onCredit(publishCreditLimit: number): void {
    this.#raise(publishCreditLimit);
    this.#pump();
  }

  onCreditRevoke(publishCreditLimit: number): void {
    const kept = this.#credit.revoke(publishCreditLimit);
    this.#connection?.sendFrame(encodeCreditReturned, { publishCreditLimit: kept });
    this.#creditRequested = false;
    this.#pump();
  }

  /** An ERROR about publishes. Returns false when its details do not say which. */
  onError(error: MillraceError): boolean {
    const { topicId, partition, producerId, firstSequence, count } = error.details;
    if (typeof topicId !== "number") return false;
    this.#isPumping = true;
    for (const outbox of this.#all()) {
      if (outbox.topicId !== topicId) continue;
      if (typeof partition === "number" && outbox.partition !== partition) continue;
      if (typeof producerId === "number" && outbox.producerId !== producerId) continue;
      if (typeof firstSequence !== "number") outbox.onErrorForAll(error);
      else outbox.onError(error, firstSequence, firstSequence + (typeof count === "number" ? count : 1));
    }
    this.#isPumping = false;
    this.#pump();
    this.#onAnswered();
    return true;
  }

  #raise(limit: number): void {
    if (this.#credit.raise(limit)) this.#creditRequested = false;
  }

  *#all(): IterableIterator<PartitionOutbox> {
    for (const partitions of [...this.#outboxes.values()]) yield* [...partitions.values()];
  }

  #pump(): void {
    // Closing a batch schedules its partition, which would come back to here.
    if (this.#isPumping) return;
    this.#isPumping = true;
    const connection = this.#connection;
    while (connection !== undefined) {
      const outbox = this.#line.at(0);
      if (outbox === undefined) break;
      if (outbox.publisher !== this) {
        // It has moved to another connection.
        this.#line.shift();
        continue;
      }
      const frame = outbox.nextFrame(this.#inFlightMax);
      if (frame !== undefined && !this.#credit.take(frame.length)) {
        this.#requestCredit(connection, frame.length);
        break;
      }
      this.#line.shift();
      if (frame === undefined) {
        outbox.scheduled = false;
        continue;
      }
      connection.send(frame);
      outbox.markSent();
      this.#line.push(outbox);
    }
    this.#isPumping = false;
  }

  /** Only when no acknowledgement is to come that could bring credit along. */
  #requestCredit(connection: Connection, bytes: number): void {
    if (this.#unanswered > 0 || this.#creditRequested) return;
    this.#creditRequested = true;
    connection.sendFrame(encodeCreditRequest, { bytes });
  }
}
