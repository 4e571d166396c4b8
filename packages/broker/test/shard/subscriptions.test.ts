import { SETTLE_ACTION } from "@millrace/protocol/internal";
import t from "tap";
import { encodeStateChanges } from "../../src/shard/state-entry.ts";
import { MODE_KEYED, MODE_QUEUE, MODE_STREAM } from "../../src/subscription/subscription.ts";
import { DURABILITY_WRITTEN } from "../../src/topic.ts";
import { openingOf } from "../harness/shard-rig.ts";
import { LETTERS, opening, Subscribed, TOPIC } from "../harness/subscribed.ts";

const { ACK, NACK, DEAD_LETTER } = SETTLE_ACTION;

t.test("what was acked stays so over a crash, and the rest comes again with its deliveries", async (t) => {
  const s = new Subscribed();
  s.subscribe(opening(1, MODE_QUEUE), [[0, 0]]);
  s.publish(["a", "b", "c", "d"]);
  s.consume(1, 4, (offset) => [ACK, NACK, undefined, ACK][offset]);
  t.same(s.state(1)[0]?.slice(0, 8), [0, 1, 0, 4, 1, 1, 0, 0]);
  s.rig.clock.advance(1);
  s.crash();
  t.same(s.consume(1, 9), [
    [TOPIC, 1, 2, ["b"]],
    [TOPIC, 2, 1, ["c"]],
  ]);
  t.same(s.rig.answer("peek", [1, 0, 0, 10]), [
    [TOPIC, 0, 1, 1, 2, 0],
    [TOPIC, 0, 2, 1, 1, 0],
  ]);
});

t.test("a clean end leaves it all in the checkpoint", async (t) => {
  const s = new Subscribed();
  s.subscribe(opening(1, MODE_QUEUE), [[0, 0]]);
  s.subscribe(opening(2, MODE_KEYED), [[1, 0]]);
  s.subscribe(opening(3, MODE_STREAM), [[0, 1]]);
  s.publish(["a", "b", "c", "d"]);
  s.publish(["e", "f"], 1);
  s.consume(1, 4, (offset) => [undefined, ACK, NACK, undefined][offset]);
  s.consume(2, 9, () => ACK);
  s.rig.answer("acquire", [3, [[0, 8]]]);
  s.rig.answer("commitCursors", [3, [[0, 8, 2, 0]]]);
  s.rig.answer("snapshot", [1, "x", "create"]);
  s.rig.answer("snapshot", [3, "x", "create"]);
  s.openings[0] = opening(1, MODE_QUEUE, { snapshots: ["x"] });
  s.openings[2] = opening(3, MODE_STREAM, { snapshots: ["x"] });
  s.rig.stopCleanly();
  s.start();
  t.equal(s.rig.recovery.entries, 0, "nothing but the checkpoint");
  t.match(s.state(1)[0]?.slice(0, 2), [0, 0]);
  t.same(
    s.rig.answer("peek", [1, 0, 0, 10]).map((row) => row.slice(2, 5)),
    [
      [0, 0, 0],
      [2, 0, 1],
      [3, 0, 0],
    ],
  );
  t.match(s.state(2)[1]?.slice(0, 2), [1, 2]);
  t.same(s.rig.answer("commitCursors", [3, [[0, 7, 0, 0]]]), [63], "fenced off");
  t.match(s.rig.answer("acquire", [3, [[0, 9]]]), [[0, false, 2, 0, 0, 4]]);
  s.consume(1, 9, () => ACK);
  t.equal(s.state(1)[0]?.[1], 4);
  s.rig.answer("seekToSnapshot", [1, "x"]);
  s.rig.answer("commitCursors", [3, [[0, 9, 4, 0]]]);
  s.rig.answer("seekToSnapshot", [3, "x"]);
  s.crash();
  t.same(
    s.rig.answer("peek", [1, 0, 0, 10]).map((row) => row[2]),
    [0, 2, 3],
    "as the snapshot has it",
  );
  t.match(s.rig.answer("acquire", [3, [[0, 10]]]), [[0, false, 2]]);
});

t.test("an old checkpoint and what came behind it", async (t) => {
  const s = new Subscribed();
  s.subscribe(opening(1, MODE_QUEUE), [[0, 0]]);
  s.publish(["a", "b", "c"]);
  s.consume(1, 1, () => ACK);
  s.rig.shard.checkpoint(false);
  s.rig.settle();
  s.consume(1, 1, () => NACK);
  s.consume(1, 1, () => undefined);
  s.crash();
  t.same(
    s.rig.answer("peek", [1, 0, 0, 10]).map((row) => row.slice(2, 5)),
    [
      [1, 0, 1],
      [2, 0, 0],
    ],
  );
});

t.test("a dead letter and its record are one, whenever the crash comes", async (t) => {
  const s = new Subscribed();
  s.subscribe(opening(1, MODE_QUEUE), [[0, 0]]);
  s.publish(["a", "b"]);
  s.consume(1, 1, () => DEAD_LETTER);
  t.match(s.state(1)[0]?.slice(1, 9), [1, 0, 2, 1, 0, 0, 0, 1]);
  s.crash();
  t.match(s.state(1)[0]?.slice(1, 9), [1, 0, 2, 1, 0, 0, 0, 1]);
  t.same(s.rig.answer("deadLetters", [LETTERS, 0, 0, 10]), [0]);

  // The crash comes between the two entries …
  s.rig.journal.stageState(stateOf(["dead", 1, TOPIC, 0, 1, LETTERS, 1]));
  s.rig.answer("commit", []);
  s.crash();
  t.match(s.state(1)[0]?.[1], 1, "it is unfinished as before");
  // … and somebody else's record takes the place of the dead letter.
  s.publish(["other"], 0, LETTERS);
  s.crash();
  t.equal(s.state(1)[0]?.[1], 1);
  t.same(s.consume(1, 5), [[TOPIC, 1, 1, ["b"]]]);
  s.crash();
  s.consume(1, 5, () => ACK);
  t.equal(s.state(1)[0]?.[1], 2);
});

t.test("dead letters are redriven once, to whom they belong", async (t) => {
  const s = new Subscribed();
  s.subscribe(opening(1, MODE_QUEUE), [[0, 0]]);
  s.subscribe(opening(2, MODE_QUEUE), [[0, 0]]);
  s.publish(["a", "b", "c"]);
  s.consume(1, 3, () => DEAD_LETTER);
  t.same(s.rig.answer("deadLetters", [LETTERS, 0, 0, 10]), [0, 1, 2]);
  t.equal(
    s.rig.answer("redrive", [
      LETTERS,
      [
        [0, 1, 1],
        [0, 1, 1],
        [0, 7, 1],
        [0, 2, 99],
      ],
    ]),
    1,
  );
  t.equal(s.rig.answer("redrive", [LETTERS, [[0, 1, 1]]]), 0);
  t.same(s.rig.answer("deadLetters", [LETTERS, 0, 0, 10]), [0, 2]);
  t.same(s.state(1)[0]?.slice(4, 9), [1, 0, 0, 0, 2], "available again, and dead no more");
  s.crash();
  t.same(s.rig.answer("peek", [1, 0, 0, 10]), [[LETTERS, 0, 1, 0, 0, 0]]);
  t.match(
    s.consume(1, 5, () => NACK),
    [[LETTERS, 1, 1]],
  );
  s.rig.clock.advance(1);
  s.rig.settle();
  s.crash();
  t.match(
    s.consume(1, 5, () => ACK),
    [[LETTERS, 1, 2]],
  );
  s.rig.stopCleanly();
  s.start();
  t.same(s.consume(1, 5), []);
  t.equal(s.rig.answer("redrive", [LETTERS, [[0, 1, 1]]]), 0, "also after the checkpoint");
  t.equal(s.consume(2, 9).length, 1, "the other one has its own");
  const [, , ...settings] = opening(3, MODE_QUEUE);
  s.subscribe([3, LETTERS, ...settings], [[0, 0]]);
  t.equal(
    s.rig.answer("redrive", [LETTERS, [[0, 0, 3]]]),
    0,
    "who reads the dead letters is not whom they belong to",
  );
  t.equal(s.rig.answer("redrive", [TOPIC, [[0, 0, 1]]]), 0);
});

t.test("a seek gives up what is leased, and fences off who has committed before", async (t) => {
  const s = new Subscribed();
  s.subscribe(opening(1, MODE_QUEUE), [[0, 0]]);
  s.subscribe(opening(2, MODE_STREAM), [[0, 0]]);
  s.publish(["a", "b", "c"]);
  s.consume(1, 3, (offset) => (offset === 2 ? ACK : undefined));
  t.equal(s.rig.answer("seek", [1, [[0, 2]]]), 1);
  s.crash();
  t.same(s.consume(1, 9), [[TOPIC, 2, 1, ["c"]]], "acked before the seek, given again");
  s.rig.answer("seek", [1, [[0, 99]]]);
  t.same(s.consume(1, 9), [], "at the end of the log");
  s.rig.answer("acquire", [2, [[0, 4]]]);
  s.rig.answer("commitCursors", [2, [[0, 4, 3, 0]]]);
  s.rig.answer("seek", [2, [[0, 1]]]);
  s.crash();
  t.same(s.rig.answer("commitCursors", [2, [[0, 4, 3, 0]]]), [63]);
  t.match(s.rig.answer("acquire", [2, [[0, 5]]]), [[0, false, 1]]);
  t.same(s.rig.answer("commitCursors", [2, [[0, 5, 2, 0]]]), [0]);
  t.throws(() => s.rig.answer("acquire", [2, [[7, 5]]]), { message: "UNKNOWN_PARTITION" });
  t.throws(() => s.rig.answer("seek", [8, []]), { message: "UNKNOWN_SUBSCRIPTION" });
});

t.test("the catalog says which subscriptions there are", async (t) => {
  const s = new Subscribed();
  s.subscribe(opening(1, MODE_QUEUE), [[0, 0]]);
  s.subscribe(opening(2, MODE_QUEUE), [[0, 0]]);
  s.rig.answer("snapshot", [2, "kept", "create"]);
  s.rig.answer("snapshot", [2, "dropped", "create"]);
  s.publish(["a", "b"]);
  // 1 was deleted while the shard was away; 3 was made, and never confirmed.
  s.openings = [opening(2, MODE_QUEUE, { snapshots: ["kept"] }), opening(3, MODE_STREAM)];
  s.crash();
  t.throws(() => s.state(1), { message: "UNKNOWN_SUBSCRIPTION" });
  t.equal(s.state(2)[0]?.[1], 0);
  t.equal(s.state(3)[0]?.[1], 2, "from the end on");
  t.equal(s.rig.answer("seekToSnapshot", [2, "kept"]), 2);
  t.equal(s.rig.answer("seekToSnapshot", [2, "dropped"]), 0);
  s.publish(["c"]);
  s.crash();
  t.equal(s.state(3)[0]?.[1], 2);
  s.rig.answer("unsubscribe", [2]);
  s.openings = [opening(3, MODE_STREAM)];
  s.rig.answer("close", [TOPIC]);
  t.throws(() => s.state(3), { message: "UNKNOWN_SUBSCRIPTION" });
  t.equal(s.rig.shard.state.subscriptions.size, 0);
  t.equal(s.rig.shard.state.subscriptions.positions, 0);
});

t.test("reconciliation comes in pages", async (t) => {
  const s = new Subscribed();
  s.subscribe(opening(1, MODE_STREAM));
  s.subscribe(opening(2, MODE_STREAM));
  s.rig.crash("power");
  s.rig.open();
  s.rig.answer("reconcile", [s.partitions.map(openingOf), false]);
  s.rig.answer("reconcileSubscriptions", [[opening(1, MODE_STREAM)], false]);
  t.equal(s.rig.shard.state.subscriptions.size, 2);
  s.rig.answer("reconcileSubscriptions", [[opening(3, MODE_STREAM)], true]);
  t.same(
    [...s.rig.shard.state.subscriptions.all()].map(({ subscriptionId }) => subscriptionId),
    [1, 3],
  );
});

t.test("the age of the oldest unfinished record", async (t) => {
  const s = new Subscribed();
  s.subscribe(opening(1, MODE_QUEUE), [[0, 0]]);
  t.equal(s.state(1)[0]?.[9], -1);
  s.publish(["a"]);
  s.rig.clock.advance(700);
  s.publish(["b"]);
  s.rig.clock.advance(50);
  t.equal(s.state(1)[0]?.[9], 750);
  s.consume(1, 1, () => ACK);
  t.equal(s.state(1)[0]?.[9], 50);
  s.crash();
  t.equal(s.state(1)[0]?.[9], 750, "of the stretch in the journal: the entry is not in memory any more");
});

t.test("weaker topics: what a crash takes is passed over", async (t) => {
  const s = new Subscribed();
  s.partitions[0] = [TOPIC, 0, DURABILITY_WRITTEN];
  s.start();
  s.subscribe(opening(1, MODE_STREAM), [[0, 0]]);
  s.publish(["a"]);
  s.rig.answer("commitCursors", [1, [[0, 1, 1, 0]]]);
  s.crash();
  const [row] = s.rig.answer("acquire", [1, [[0, 2]]]);
  t.match(row, [0, false, 1, 0]);
  t.ok((row?.[6] as number) > 0, "the log's epoch is not the cursor's");
});

function stateOf(...changes: Parameters<typeof encodeStateChanges>[0]): Uint8Array {
  return encodeStateChanges(changes);
}
