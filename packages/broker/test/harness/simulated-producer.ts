import assert from "node:assert/strict";
import { batchOf } from "./batches.ts";
import type { PartitionModel } from "./partition-model.ts";
import type { Ack, PublishError, RecordingGateway } from "./recording-gateway.ts";

interface Batch {
  sequence: number;
  readonly values: readonly string[];
  readonly stored: Uint8Array;
  /** Sent in this life of the shard, and not answered yet. */
  sent: boolean;
}

const QUEUE_MAX = 5;

/**
 * A client's producer on one partition: it numbers its records, keeps every batch until it is acked, and sends what was
 * not answered or not accepted again, in order and unchanged. With producerId 0 it sends each batch once.
 */
export class SimulatedProducer {
  readonly producerId: number;
  readonly sessionId: number;
  readonly model: PartitionModel;
  readonly #queue: Batch[] = [];
  #epoch = 0;
  #nextSequence = 0;
  #mustReset = false;

  constructor(producerId: number, sessionId: number, model: PartitionModel) {
    this.producerId = producerId;
    this.sessionId = sessionId;
    this.model = model;
  }

  get isIdle(): boolean {
    return this.#queue.length === 0;
  }

  /** Sends again what has to be, or else something new. */
  send(gateway: RecordingGateway, values: readonly string[]): void {
    const unsent = this.#queue.filter(({ sent }) => !sent);
    if (unsent.length > 0) {
      this.resend(gateway);
      return;
    }
    if (this.#queue.length >= QUEUE_MAX) return;
    const batch: Batch = { sequence: this.#nextSequence, values, stored: batchOf(values), sent: false };
    if (!this.#publish(gateway, batch)) return;
    this.#nextSequence += values.length;
    this.#queue.push(batch);
    this.model.published(values);
  }

  /** Once all of the queue is answered, what was not accepted goes out in order. */
  resend(gateway: RecordingGateway): void {
    if (this.#queue.some(({ sent }) => sent)) return;
    if (this.#mustReset) this.#reset();
    for (const batch of this.#queue) if (!this.#publish(gateway, batch)) return;
  }

  onAck(ack: Ack): void {
    assert.equal(ack.logEpoch, this.model.logEpoch, `${this}: ack of another log epoch`);
    assert.ok(this.model.mayState(ack.durability), `${this}: acked as ${ack.durability}`);
    let sequence = ack.firstSequence;
    const end = ack.firstSequence + ack.count;
    while (sequence < end) {
      const at = this.#queue.findIndex((batch) => batch.sent && batch.sequence === sequence);
      const batch = this.#queue[at];
      assert.ok(batch !== undefined, `${this}: ack of ${sequence}, which is not in flight`);
      // An earlier one may have been refused, though stored before: that a full disk was found first.
      const overtaken = this.#queue.slice(0, at).some(({ sent }) => sent);
      assert.ok(!overtaken, `${this}: ack of ${sequence} before an earlier one`);
      this.#queue.splice(at, 1);
      batch.values.forEach((value, i) => {
        this.model.learn(ack.baseOffset + (sequence - ack.firstSequence) + i, value, ack.durability);
      });
      sequence += batch.values.length;
    }
    assert.equal(sequence, end, `${this}: ack of half a batch`);
  }

  onError({ error, firstSequence }: PublishError): void {
    const at = this.#queue.findIndex((batch) => batch.sent && batch.sequence === firstSequence);
    const batch = this.#queue[at];
    assert.ok(batch !== undefined, `${this}: ${error} for ${firstSequence}, which is not in flight`);
    if (this.producerId === 0) {
      assert.equal(error, "DISK_FULL", `${this}`);
      this.#queue.splice(at, 1);
      return;
    }
    batch.sent = false;
    if (error === "DISK_FULL") return;
    assert.ok(error === "OUT_OF_SEQUENCE" || error === "UNKNOWN_PRODUCER", `${this}: ${error}`);
    // Behind a batch that was refused all others are; at the head it means that acked records were lost.
    if (at > 0) return;
    assert.ok(!this.model.isFsynced, `${this}: ${error} for ${firstSequence}, but nothing may be lost`);
    this.#mustReset = true;
  }

  /** Its gateway is gone: what was not answered will not be. */
  onGatewayGone(): void {
    this.onShardRestart();
  }

  /** The partition is gone. */
  forget(): void {
    this.#queue.length = 0;
  }

  /** The shard died: nothing in flight will be answered. */
  onShardRestart(): void {
    for (const batch of this.#queue) batch.sent = false;
    if (this.producerId === 0) this.#queue.length = 0;
  }

  toString(): string {
    return `producer ${this.producerId} of ${this.model}`;
  }

  /** A new epoch numbers from 0 again. Only while nothing is in flight under the old numbers. */
  #reset(): void {
    this.#mustReset = false;
    this.model.resets += 1;
    this.#epoch += 1;
    this.#nextSequence = 0;
    for (const batch of this.#queue) {
      batch.sequence = this.#nextSequence;
      this.#nextSequence += batch.values.length;
    }
  }

  #publish(gateway: RecordingGateway, batch: Batch): boolean {
    const { topicId, partition } = this.model;
    batch.sent = gateway.publish({
      topicId,
      partition,
      sessionId: this.sessionId,
      producerId: this.producerId,
      producerEpoch: this.#epoch,
      baseSequence: batch.sequence,
      count: batch.values.length,
      stored: batch.stored,
    });
    return batch.sent;
  }
}
