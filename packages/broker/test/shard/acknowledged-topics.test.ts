import { SETTLE_ACTION } from "@millrace/protocol/internal";
import t from "tap";
import { OVERFLOW_DEAD_LETTER, OVERFLOW_REFUSE } from "../../src/shard/topic-traits.ts";
import { MODE_KEYED, MODE_QUEUE, MODE_STREAM } from "../../src/subscription/subscription.ts";
import { LETTERS, opening, Subscribed, TOPIC } from "../harness/subscribed.ts";

const { ACK } = SETTLE_ACTION;

t.test("an acknowledging topic gives up what all its queues have finished", async (t) => {
  const s = new Subscribed();
  s.overflow = OVERFLOW_REFUSE;
  s.start();
  s.subscribe(opening(1, MODE_QUEUE), [[0, 0]]);
  s.subscribe(opening(2, MODE_KEYED), [[0, 0]]);
  s.subscribe(opening(3, MODE_STREAM), [[0, 0]]);
  s.publish(["a", "b", "c"]);
  s.consume(1, 3, () => ACK);
  s.rig.clock.advance(6_000);
  s.rig.settle();
  const start = (): number => s.rig.shard.state.find(TOPIC, 0)?.logStartOffset as number;
  t.equal(start(), 0, "the keyed one has not");
  s.consume(2, 2, () => ACK);
  s.rig.clock.advance(6_000);
  s.rig.settle();
  t.equal(start(), 2);
  s.crash();
  t.equal(start(), 2);
  t.equal(s.state(1)[0]?.[1], 3);
  s.rig.answer("unsubscribe", [2]);
  s.rig.clock.advance(6_000);
  s.rig.settle();
  t.equal(start(), 3);
});

t.test("and the space comes back", async (t) => {
  const s = new Subscribed({ segmentSizeBytes: 16_384, retentionCheckMs: 1_000 });
  s.overflow = OVERFLOW_REFUSE;
  s.start();
  s.subscribe(opening(1, MODE_QUEUE), [[0, 0]]);
  const retained = (): number => s.rig.journal.retainedBytes(TOPIC, 0);
  const wait = (): void => {
    for (let i = 0; i < 40; i += 1) {
      s.rig.clock.advance(5_000);
      s.rig.settle();
    }
  };
  for (let i = 0; i < 80; i += 1) s.publish(["x".repeat(900)]);
  wait();
  const before = retained();
  t.ok(before > 80 * 900, "nothing is finished");
  s.consume(1, 60, () => ACK);
  wait();
  t.ok(retained() < before / 2, `${retained()} of ${before} bytes are left`);
  s.crash();
  t.equal(s.consume(1, 99).length, 20, "what is not finished is still there");
});

t.test("publishes are refused while too much is unfinished", async (t) => {
  const s = new Subscribed({}, [60_000, 4_000]);
  s.overflow = OVERFLOW_REFUSE;
  s.start();
  s.subscribe(opening(1, MODE_QUEUE), [[0, 0]]);
  const publish = (): string | undefined => {
    s.publish(["x".repeat(900)]);
    s.rig.gateway.take("ack");
    return s.rig.gateway.take("publish-error")[0]?.error;
  };
  const look = (ms = 600): void => {
    s.rig.clock.advance(ms);
    s.rig.settle();
  };
  const outcomes: (string | undefined)[] = [];
  for (let i = 0; i < 6; i += 1) {
    look();
    outcomes.push(publish());
  }
  t.same(outcomes, [undefined, undefined, undefined, undefined, "TOPIC_FULL", "TOPIC_FULL"]);
  s.consume(1, 2, () => ACK);
  look();
  t.same(
    [publish(), publish(), publish()],
    [undefined, undefined, "TOPIC_FULL"],
    "there is room for as many",
  );
  s.crash();
  look();
  t.equal(publish(), "TOPIC_FULL", "also after a restart");
  s.consume(1, 9, () => ACK);
  look();
  t.equal(publish(), undefined);
  look(59_000);
  t.equal(publish(), undefined);
  look(2_000);
  t.equal(publish(), "TOPIC_FULL", "too old");
  t.equal(s.rig.shard.state.find(TOPIC, 0)?.logStartOffset, 6, "nothing is dropped");
  s.rig.answer("unsubscribe", [1]);
  look();
  t.equal(publish(), undefined, "nobody has to finish anything");
});

t.test("or the oldest unfinished records go to the dead letters", async (t) => {
  const s = new Subscribed({}, [60_000, 4_000]);
  s.overflow = OVERFLOW_DEAD_LETTER;
  s.start();
  s.subscribe(opening(1, MODE_QUEUE), [[0, 0]]);
  s.subscribe(opening(2, MODE_QUEUE), [[0, 0]]);
  const look = (ms = 600): void => {
    s.rig.clock.advance(ms);
    s.rig.settle();
  };
  for (let i = 0; i < 6; i += 1) {
    look();
    s.publish(["x".repeat(900)]);
  }
  t.equal(s.rig.gateway.take("publish-error").length, 0);
  s.consume(1, 1, () => ACK);
  look();
  look();
  t.same(
    s.state(2).map((row) => [row[1], row[8]]),
    [
      [3, 3],
      [0, 0],
    ],
    "as much as is beyond the bound",
  );
  t.equal(s.state(1)[0]?.[1], 3);
  look(61_000);
  look();
  t.equal(s.state(1)[0]?.[1], 6);
  t.equal(s.state(2)[0]?.[8], 6, "what is too old, too");
  t.equal(
    s.rig.answer("deadLetters", [LETTERS, 0, 0, 100]).length,
    11,
    "one for each that had not finished it",
  );
});
