import assert from "node:assert/strict";
import t from "tap";
import { DURABILITY_FSYNCED, DURABILITY_MEMORY, DURABILITY_WRITTEN } from "../../src/topic.ts";
import { batchOf } from "../harness/batches.ts";
import { forSeeds, type Seeded } from "../harness/seeded.ts";
import { openingOf, ShardRig } from "../harness/shard-rig.ts";

const TOPIC = 5;
const DURABILITIES = [DURABILITY_MEMORY, DURABILITY_WRITTEN, DURABILITY_FSYNCED];

/** A topic whose durability changes all the time, before a gateway that hears little at a time. */
class ChangingTopic {
  readonly #random: Seeded;
  readonly #rig: ShardRig;
  /** Index = offset, value = how far the journal was staged once that record was. */
  readonly #positions: number[] = [];
  #sent = 0;
  #acked = 0;
  acks = [0, 0, 0];

  constructor(random: Seeded) {
    this.#random = random;
    this.#rig = ShardRig.started([[TOPIC, 0, random.pick(DURABILITIES)]], {
      inboundBytes: 8192,
      outboundBytes: 1024,
      segmentSizeBytes: 65_536,
    });
  }

  run(steps: number): void {
    const random = this.#random;
    for (let step = 0; step < steps; step += 1) {
      const choice = random.below(12);
      if (choice < 5) this.#publish();
      else if (choice < 8) this.#cycle();
      else if (choice < 10) this.#rig.sync();
      else if (choice === 10) this.#alter(random.pick(DURABILITIES));
      else this.#hear(random.below(300));
    }
    for (let rounds = 0; this.#acked < this.#sent; rounds += 1) {
      assert.ok(rounds < 10_000, `acked ${this.#acked} of ${this.#sent}`);
      this.#cycle();
      this.#rig.sync();
      this.#hear(1000);
    }
  }

  #publish(): void {
    // Each its own session: no two acks are one.
    const publish = {
      topicId: TOPIC,
      sessionId: this.#sent + 1,
      count: 1,
      stored: batchOf([`${this.#sent}`]),
    };
    if (this.#rig.gateway.publish(publish)) this.#sent += 1;
  }

  #alter(durability: number): void {
    try {
      this.#rig.gateway.ask("configure", [[openingOf([TOPIC, 0, durability])]]);
    } catch {
      // No room: it is asked for later.
    }
  }

  #cycle(): void {
    this.#rig.shard.doWork();
    const { nextOffset } = this.#rig.shard.state.find(TOPIC, 0) ?? { nextOffset: 0 };
    while (this.#positions.length < nextOffset) this.#positions.push(this.#rig.journal.stagedPosition);
  }

  #hear(bytesMax: number): void {
    const { gateway, journal } = this.#rig;
    gateway.hear(bytesMax);
    for (const event of gateway.events.splice(0)) {
      if (event.kind !== "ack") continue;
      assert.equal(event.baseOffset, this.#acked, "acks come in the order of the log");
      const position = this.#positions[event.baseOffset] as number;
      if (event.durability >= DURABILITY_WRITTEN)
        assert.ok(journal.writtenPosition >= position, "not written");
      if (event.durability === DURABILITY_FSYNCED) {
        assert.ok(journal.committedPosition() >= position, "acked as fsynced, and is not");
      }
      this.acks[event.durability] = (this.acks[event.durability] ?? 0) + 1;
      this.#acked += event.count;
    }
  }
}

t.test("acks keep their order, and say no more than is true, while the durability changes", async (t) => {
  const acks = [0, 0, 0];
  forSeeds(150, (random) => {
    const topic = new ChangingTopic(random);
    topic.run(300);
    topic.acks.forEach((count, durability) => {
      acks[durability] = (acks[durability] ?? 0) + count;
    });
  });
  t.ok(
    acks.every((count) => count > 100),
    `acks by durability: ${acks}`,
  );
});
