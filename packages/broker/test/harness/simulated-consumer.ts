import assert from "node:assert/strict";
import { valuesOf } from "./batches.ts";
import type { PartitionImage, PartitionModel } from "./partition-model.ts";
import type { Delivery, RecordingGateway } from "./recording-gateway.ts";

const CREDIT_INITIAL = 2048;

/**
 * Reads one partition from its beginning in every life of the shard, stays at the tail, and now and then goes back. What it
 * sees, the world knows.
 */
export class SimulatedConsumer {
  readonly model: PartitionModel;
  readonly streamId: number;
  #state: "idle" | "reading" | "joined" = "idle";
  #next = 0;
  #credit = CREDIT_INITIAL;
  #lastTimeMs = 0;
  /** It asked below where it had been told that the log starts. */
  #askedTooEarly = false;
  /** What this life's first pass has found; undefined once it was compared. */
  #firstPass: Map<number, string> | undefined = new Map();

  constructor(model: PartitionModel, streamId: number) {
    this.model = model;
    this.streamId = streamId;
  }

  get isJoined(): boolean {
    return this.#state === "joined";
  }

  get next(): number {
    return this.#next;
  }

  onShardRestart(): void {
    this.#state = "idle";
    this.#firstPass = new Map();
    this.#begin(0);
  }

  /** Its gateway is gone, and comes back with the same ids: it reads on where it stands. */
  onGatewayGone(): void {
    this.#state = "idle";
    this.#credit = CREDIT_INITIAL;
  }

  /** Everything that the first pass has found, at its end. */
  takeImage(logEpoch: number, logStartOffset: number): PartitionImage {
    assert.ok(this.#firstPass !== undefined && this.isJoined);
    const records = this.#firstPass;
    this.#firstPass = undefined;
    return { records, highWatermark: this.#next, logEpoch, logStartOffset };
  }

  /** Reads on where it stands, if it waits for nothing. */
  read(gateway: RecordingGateway): void {
    if (this.#state !== "idle") return;
    const { topicId, partition } = this.model;
    if (!gateway.read(this.streamId, topicId, this.#next, this.#credit, partition)) return;
    this.#state = "reading";
    this.#askedTooEarly = this.#next < this.model.logStartOffset;
  }

  /** Leaves the tail and reads again from an earlier offset. */
  goBack(gateway: RecordingGateway, offset: number): void {
    if (this.#state !== "joined") return;
    gateway.untail(this.model.topicId, this.model.partition);
    this.#state = "idle";
    this.#begin(offset);
  }

  onJoined(offset: number): void {
    this.#answered();
    assert.equal(offset, this.#next, `${this.model}: joined elsewhere`);
    this.#state = "joined";
  }

  onProgress(nextOffset: number, reason: string): void {
    this.#answered();
    // Files have changed under the reader: it wants to be told again where to look.
    if (reason === "gap" && nextOffset === this.#next) return;
    assert.ok(nextOffset > this.#next, `${this.model}: progress to ${nextOffset} from ${this.#next}`);
    if (reason === "retention") {
      this.model.checkStart(nextOffset);
      // What was refused once must not be there again.
      if (this.#firstPass === undefined) this.model.logStartOffset = nextOffset;
    } else {
      assert.ok(!this.model.isFsynced, `${this.model}: a gap at ${this.#next} in an fsynced topic`);
      assert.ok(!this.#askedTooEarly, `${this.model}: below the start, and told of a mere gap`);
    }
    this.#next = nextOffset;
  }

  onNeedsCredit(bytes: number): void {
    this.#answered();
    assert.ok(bytes > this.#credit, `${this.model}: ${this.#credit} bytes were enough`);
    this.#credit = bytes;
  }

  onDeliver(delivery: Delivery): void {
    const { shared, firstOffset, nextOffset, entries } = delivery;
    // What was on its way to the tail when this consumer left it.
    if (shared && this.#state !== "joined") return;
    if (shared) assert.equal(firstOffset, this.#next, `${this.model}: a gap or repeat at the tail`);
    else {
      this.#answered();
      assert.ok(!this.#askedTooEarly, `${this.model}: records from below the start`);
      assert.ok(
        firstOffset <= this.#next && this.#next < nextOffset,
        `${this.model}: not what was asked for`,
      );
      this.#credit = CREDIT_INITIAL;
    }
    let offset = firstOffset;
    for (const { baseOffset, count, appendTimeMs, stored } of entries) {
      assert.equal(baseOffset, offset);
      assert.ok(appendTimeMs >= this.#lastTimeMs, `${this.model}: append time goes back at ${offset}`);
      this.#lastTimeMs = appendTimeMs;
      const values = valuesOf(stored);
      assert.equal(values.length, count);
      for (const value of values) {
        if (this.#firstPass === undefined) this.model.learn(offset, value);
        else this.#firstPass.set(offset, value);
        offset += 1;
      }
    }
    assert.equal(offset, nextOffset);
    this.#next = nextOffset;
  }

  #begin(offset: number): void {
    this.#next = offset;
    this.#credit = CREDIT_INITIAL;
    this.#lastTimeMs = 0;
  }

  #answered(): void {
    assert.equal(this.#state, "reading", `${this.model}: an answer that nobody waits for`);
    this.#state = "idle";
  }
}
