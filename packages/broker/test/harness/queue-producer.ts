import assert from "node:assert/strict";
import { BatchBuilder } from "@millrace/protocol/internal";
import type { Ack, PublishError } from "./recording-gateway.ts";
import type { Seeded } from "./seeded.ts";
import type { ShardRig } from "./shard-rig.ts";

const KEYS = ["k0", "k1", "k2", undefined] as const;

/** Who is told of a record once its publish was acked. */
type OnStored = (partition: number, offset: number, value: string, key: string | undefined) => void;

interface Publishing {
  readonly sequence: number;
  readonly records: readonly [string, string | undefined][];
}

/** The producers of a queue's topic, together: each batch is sent once. */
export class QueueProducer {
  readonly #random: Seeded;
  readonly #rig: ShardRig;
  readonly #topicId: number;
  /** Publishes that wait for their ack, by partition. */
  readonly #publishing: Publishing[][];
  readonly #nextSequence: number[];
  readonly #builder: BatchBuilder = new BatchBuilder(60_000);
  #values = 0;

  constructor(random: Seeded, rig: ShardRig, topicId: number, partitions: number) {
    this.#random = random;
    this.#rig = rig;
    this.#topicId = topicId;
    this.#publishing = Array.from({ length: partitions }, () => []);
    this.#nextSequence = this.#publishing.map(() => 0);
  }

  /** A batch for some partition. */
  publish(): void {
    const random = this.#random;
    const partition = random.below(this.#publishing.length);
    const builder = this.#builder;
    builder.reset();
    const wanted = random.oneIn(6) ? 20 + random.below(40) : 1 + random.below(5);
    const records: [string, string | undefined][] = [];
    while (records.length < wanted && builder.byteLength < 2500) {
      this.#values += 1;
      const value = `v${this.#values}`.padEnd(random.oneIn(8) ? random.below(400) : 0, ".");
      const key = random.pick(KEYS);
      builder.append({ value, key });
      records.push([value, key]);
    }
    const count = records.length;
    const stored = builder.finish().slice();
    const baseSequence = this.#nextSequence[partition] as number;
    const { gateway } = this.#rig;
    if (!gateway.publish({ topicId: this.#topicId, partition, count, stored, baseSequence })) return;
    this.#nextSequence[partition] = baseSequence + count;
    this.#publishing[partition]?.push({ sequence: baseSequence, records });
  }

  onAck({ partition, firstSequence, count, baseOffset }: Ack, onStored: OnStored): void {
    const waiting = this.#publishing[partition] ?? [];
    for (let done = 0; done < count; ) {
      const next = waiting.shift();
      assert.ok(next !== undefined && next.sequence === firstSequence + done, "an ack for nothing");
      next.records.forEach(([value, key], i) => {
        onStored(partition, baseOffset + done + i, value, key);
      });
      done += next.records.length;
    }
  }

  onError({ partition, firstSequence, error }: PublishError): void {
    const waiting = this.#publishing[partition] ?? [];
    const at = waiting.findIndex(({ sequence }) => sequence === firstSequence);
    assert.equal(error, "DISK_FULL");
    waiting.splice(at, 1);
  }

  onShardRestart(): void {
    for (const waiting of this.#publishing) waiting.length = 0;
  }
}
