import assert from "node:assert/strict";
import { BatchReader } from "@millrace/protocol";
import type { Lease } from "./recording-gateway.ts";
import type { ShardRig } from "./shard-rig.ts";

const LETTERS_STREAM = 77;

/** A dead letter as it stands in its topic. */
export interface DeadLetterFound {
  readonly subscription: string;
  readonly partition: number;
  readonly offset: number;
  readonly origin: number;
  readonly value: string;
  readonly key: string | undefined;
}

/** The topic of dead letters as whoever looks after it sees it: what stands there, and what he has redriven. */
export class DeadLetterTopic {
  readonly topicId: number;
  readonly #rig: ShardRig;
  readonly #letters: Map<string, DeadLetterFound> = new Map();
  readonly #redriving: Map<string, DeadLetterFound> = new Map();
  readonly #redriven: Set<string> = new Set();

  constructor(rig: ShardRig, topicId: number) {
    this.#rig = rig;
    this.topicId = topicId;
  }

  /** Letters that were found so far. */
  get size(): number {
    return this.#letters.size;
  }

  /** Those that were not redriven, as far as anybody knows. */
  waiting(): DeadLetterFound[] {
    return [...this.#letters].filter(([id]) => !this.#redriven.has(id)).map(([, letter]) => letter);
  }

  /** Whether it was is only known by what comes of it: a crash may come before it is durable. */
  redriving(letter: DeadLetterFound): void {
    this.#redriving.set(`${letter.partition}/${letter.offset}`, letter);
  }

  /** Somebody was given some of them. */
  redrivenCame(lease: Lease): void {
    lease.values.forEach((value, i) => {
      const id = `${lease.partition}/${lease.offset + i}`;
      const letter = this.#redriving.get(id);
      assert.ok(letter !== undefined, `${id}: nobody has redriven it`);
      assert.equal(value, letter.value);
      this.#redriven.add(id);
    });
  }

  /** Reads a partition. @returns all that stands there, oldest first */
  read(partition: number): DeadLetterFound[] {
    const rig = this.#rig;
    const found: DeadLetterFound[] = [];
    const end = rig.shard.state.find(this.topicId, partition)?.highWatermark ?? 0;
    const batch = new BatchReader();
    for (let offset = 0, tries = 0; offset < end; tries += 1) {
      assert.ok(tries < 1000, "reading the dead letters comes to no end");
      rig.gateway.read(LETTERS_STREAM, this.topicId, offset, 60_000, partition);
      rig.settle();
      for (const { entries, streamId } of rig.gateway.take("deliver")) {
        if (streamId !== LETTERS_STREAM) continue;
        for (const { baseOffset, stored } of entries) {
          batch.reset(stored, 0, stored.length);
          assert.ok(batch.verifyChecksum());
          const { headers, value, key } = batch.recordAt(0);
          assert.ok(headers !== undefined);
          assert.equal(headers["millrace-origin-topic"], "jobs");
          assert.equal(headers["millrace-origin-partition"], String(partition));
          found.push({
            subscription: String(headers["millrace-subscription"]),
            partition,
            offset: baseOffset,
            origin: Number(headers["millrace-origin-offset"]),
            value: String(value),
            key: key === undefined ? undefined : String(key),
          });
          offset = baseOffset + 1;
        }
      }
    }
    for (const letter of found) this.#letters.set(`${partition}/${letter.offset}`, letter);
    return found;
  }

  /** More died of one record than there may be? */
  verifyBorn(found: readonly DeadLetterFound[], moves: number): void {
    const born = new Map<string, number>();
    for (const letter of found) born.set(originOf(letter), (born.get(originOf(letter)) ?? 0) + 1);
    const redriven = [...this.#redriving.values()].map(originOf);
    for (const [origin, count] of born) {
      const most = 1 + moves + redriven.filter((other) => other === origin).length;
      assert.ok(count <= most, `${origin}: ${count} dead letters, not ${most}`);
    }
  }
}

function originOf({ subscription, partition, origin }: DeadLetterFound): string {
  return `${subscription}/${partition}/${origin}`;
}
