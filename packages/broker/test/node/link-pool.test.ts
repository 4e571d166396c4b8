import { OneToOneRingBuffer } from "@millrace/core";
import t from "tap";
import { BROKER_LIMITS } from "../../src/limits.ts";
import { LINK_STATE } from "../../src/link/link-buffers.ts";
import { LinkPool } from "../../src/link/link-pool.ts";
import { ManualClock } from "../harness/manual-clock.ts";

const TYPE = 7;

t.test("memory of links is used again, empty, when it has rested", async (t) => {
  const clock = new ManualClock();
  const pool = new LinkPool(clock);
  const link = pool.take();
  const ring = OneToOneRingBuffer.attach(link.inbound);
  for (let i = 0; i < 3; i += 1) ring.write(TYPE, Buffer.alloc(1_000_000, 1));
  ring.publish();
  // The shard has made something else of them.
  ring.bytes.fill(7);
  new Int32Array(link.state).fill(1);
  pool.give(link);
  t.not(pool.take(), link, "somebody may not have heard yet");
  clock.advance(BROKER_LIMITS.linkRestsMs);
  t.equal(pool.take(), link);
  t.same(new Int32Array(link.state), new Int32Array(LINK_STATE.WORDS));
  const [producer, consumer] = [
    OneToOneRingBuffer.attach(link.inbound),
    OneToOneRingBuffer.attach(link.inbound),
  ];
  t.equal(consumer.poll(), 0, "nothing of what was there");
  for (let lap = 0; lap < 40; lap += 1) {
    t.ok(producer.write(TYPE, Buffer.alloc(1_000_000, lap)) >= 0);
    producer.publish();
    t.equal(
      consumer.read((_type, index) => t.equal(consumer.bytes[index], lap)),
      1,
    );
  }
  t.not(pool.take(), link);
});

t.test("of many links only some are kept", async (t) => {
  const clock = new ManualClock();
  const pool = new LinkPool(clock);
  const links = Array.from({ length: BROKER_LIMITS.linksKeptMax + 1 }, () => pool.take());
  for (const link of links) pool.give(link);
  clock.advance(BROKER_LIMITS.linkRestsMs);
  const taken = links.map(() => pool.take());
  t.same(
    taken.slice(0, -1).map((link) => links.indexOf(link)),
    links.slice(1).map((_, i) => i + 1),
  );
  t.equal(links.indexOf(taken.at(-1) as (typeof links)[number]), -1);
});
