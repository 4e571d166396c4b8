import type { Topic } from "@millrace/broker/internal";
import {
  type AckRange,
  durabilityName,
  type ErrorFrame,
  MillraceError,
  partitionForKey,
} from "@millrace/protocol";
import type { Clock } from "../clock.ts";
import { Fifo } from "../fifo.ts";
import { partitionKey } from "../in-flight.ts";
import { GATEWAY_LIMITS } from "../limits.ts";
import type { Socket, SocketHandler } from "../listener.ts";
import { InnerSession, type InnerSessionOwner } from "./inner-session.ts";
import { PublishBatch } from "./publish-batch.ts";
import type { PublishRequest } from "./publish-request.ts";

/**
 * Publishes the records of HTTP requests. Those of one turn of the event loop that go to one partition share a batch,
 * whichever requests they are of; batches of a partition are sent in the order of the turns.
 */
export class HttpPublisher implements InnerSessionOwner {
  readonly #clock: Clock;
  readonly #open: (socket: Socket) => SocketHandler;
  #session: InnerSession | undefined;
  /** Of this turn, by partition. */
  readonly #filling: Map<number, PublishBatch> = new Map();
  /** Complete, without credit as yet. */
  readonly #unsent: Fifo<PublishBatch> = new Fifo();
  /** By the sequence of their first record. */
  readonly #sent: Map<number, PublishBatch> = new Map();
  /** Those that may not be done, oldest first. */
  readonly #requests: Fifo<PublishRequest> = new Fifo();
  #nextSequence = 0;
  /** Turns so far: records without key and partition of one turn go to one partition, those of the next to the next. */
  #turn = 0;
  #sendPlanned = false;
  #checkPlanned = false;

  /** @param open makes a session of a socket */
  constructor(clock: Clock, open: (socket: Socket) => SocketHandler) {
    this.#clock = clock;
    this.#open = open;
  }

  /** @throws MillraceError UNKNOWN_PARTITION, and then nothing is published */
  publish(topic: Topic, request: PublishRequest): void {
    const { records } = request;
    for (const { partition = 0 } of records) {
      if (partition < topic.partitions) continue;
      throw new MillraceError("UNKNOWN_PARTITION", `topic ${topic.name} has no partition ${partition}`);
    }
    for (let index = 0; index < records.length; index += 1) this.#add(topic, request, index);
    this.#requests.push(request);
    this.#planSend();
    this.#planCheck();
  }

  onAck({ firstSequence, count, baseOffset, durability }: AckRange): void {
    const name = durabilityName(durability) ?? "memory";
    for (let sequence = firstSequence; sequence < firstSequence + count; ) {
      const batch = this.#take(sequence);
      if (batch === undefined) return;
      batch.acknowledged(baseOffset + (sequence - firstSequence), name);
      sequence += batch.count;
    }
  }

  onPublishError({ code, name, retriable, message, details }: ErrorFrame): void {
    const error = MillraceError.fromWire({ code, name, retriable, message, details });
    const { firstSequence, topicId, partition } = details;
    if (typeof firstSequence === "number") {
      // What a broken journal has taken is anybody's guess.
      this.#take(firstSequence)?.failed(error, error.code === "JOURNAL_FAILED" ? "unknown" : "not-stored");
      return;
    }
    for (const [sequence, batch] of this.#sent) {
      if (batch.topicId !== topicId || batch.partition !== partition) continue;
      this.#sent.delete(sequence);
      batch.failed(error, "unknown");
    }
  }

  onCredit(): void {
    if (this.#unsent.length > 0) this.#planSend();
  }

  onEnd(): void {
    this.#session = undefined;
    const sent = [...this.#sent.values()];
    this.#sent.clear();
    const error = new MillraceError("SERVER_DRAINING", "the broker is shutting down");
    for (const batch of sent) batch.failed(error, "unknown");
    for (let batch = this.#unsent.shift(); batch !== undefined; batch = this.#unsent.shift()) {
      batch.release();
      batch.failed(error, "not-stored");
    }
  }

  #add(topic: Topic, request: PublishRequest, index: number): void {
    const record = request.records[index] as PublishRequest["records"][number];
    const { partitions } = topic;
    const partition =
      record.partition ??
      (record.key === undefined ? this.#turn % partitions : partitionForKey(record.key, partitions));
    const key = partitionKey(topic.topicId, partition);
    let batch = this.#filling.get(key);
    if (batch?.add(request, index, record) === true) return;
    if (batch !== undefined) this.#unsent.push(batch);
    batch = new PublishBatch(topic.topicId, partition, this.#clock.monotonicMs());
    this.#filling.set(key, batch);
    // The first record of a batch always fits.
    batch.add(request, index, record);
  }

  #take(sequence: number): PublishBatch | undefined {
    const batch = this.#sent.get(sequence);
    this.#sent.delete(sequence);
    return batch;
  }

  #planSend(): void {
    if (this.#sendPlanned) return;
    this.#sendPlanned = true;
    this.#clock.soon(() => {
      this.#sendPlanned = false;
      this.#turn += 1;
      for (const batch of this.#filling.values()) this.#unsent.push(batch);
      this.#filling.clear();
      this.#send();
    });
  }

  #send(): void {
    for (let batch = this.#unsent.first; batch !== undefined; batch = this.#unsent.first) {
      this.#session ??= new InnerSession(this, this.#open);
      const sequence = this.#nextSequence;
      batch.baseSequence = sequence;
      // Noted first: an answer may come before publish() returns.
      this.#sent.set(sequence, batch);
      if (!this.#session.publish(batch.frame())) {
        this.#sent.delete(sequence);
        return;
      }
      this.#nextSequence += batch.count;
      // Unless the session has ended over it, and taken all with it.
      if (this.#unsent.first !== batch) continue;
      this.#unsent.shift();
      batch.release();
    }
  }

  /** Looks for requests that have waited too long, as long as any waits. */
  #planCheck(): void {
    if (this.#checkPlanned) return;
    this.#checkPlanned = true;
    this.#clock.after(GATEWAY_LIMITS.httpCheckMs, () => {
      this.#checkPlanned = false;
      this.#check();
      if (this.#requests.length > 0) this.#planCheck();
    });
  }

  #check(): void {
    const now = this.#clock.monotonicMs();
    const { httpAckMsMax } = GATEWAY_LIMITS;
    for (let batch = this.#unsent.first; batch !== undefined; batch = this.#unsent.first) {
      if (batch.madeMs + httpAckMsMax > now) break;
      this.#unsent.shift();
      batch.release();
      batch.failed(new MillraceError("THROTTLED", "no publish credit in time"), "not-stored");
    }
    for (let request = this.#requests.first; request !== undefined; request = this.#requests.first) {
      if (!request.isDone && request.deadlineMs > now) break;
      this.#requests.shift();
      if (!request.isDone) request.timedOut(httpAckMsMax);
    }
  }
}
