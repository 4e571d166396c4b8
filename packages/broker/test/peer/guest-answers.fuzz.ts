import t from "tap";
import { BROKER_LIMITS } from "../../src/limits.ts";
import { GuestAnswers } from "../../src/peer/guest-answers.ts";
import { forSeeds } from "../harness/seeded.ts";

const MAX = BROKER_LIMITS.peerAnswerBytesMax;

t.test("what reads under way may bring is counted, whatever becomes of them", async (t) => {
  forSeeds(50, (random) => {
    let queued = 0;
    const answers = new GuestAnswers(() => queued);
    const model = new Map<number, number>();
    for (let step = 0; step < 2_000; step += 1) {
      const streamId = random.below(40);
      const choice = random.below(10);
      if (choice < 5) {
        const maxBytes = random.below(random.oneIn(5) ? 2_000_000 : 300_000);
        const bytes = Math.max(maxBytes, BROKER_LIMITS.peerReadBytesMin);
        const owed = queued + [...model.values()].reduce((sum, read) => sum + read, 0);
        const expected = owed === 0 || owed + bytes <= MAX;
        answers.isAwaited = false;
        if (answers.hasRoomFor(maxBytes) !== expected) throw new Error(`owed=${owed} bytes=${bytes}`);
        if (answers.isAwaited === expected) throw new Error("whoever was refused waits");
        if (expected) {
          answers.asked(random.below(4), streamId, maxBytes);
          model.delete(streamId);
          model.set(streamId, bytes);
        }
      } else if (choice < 8) {
        if (answers.answered(streamId) !== model.delete(streamId)) throw new Error("answered");
      } else if (choice === 8) queued = random.below(MAX);
      else queued = 0;
    }
    queued = 0;
    for (let shardId = 0; shardId < 4; shardId += 1) answers.forgetShard(shardId);
    if (!answers.hasRoomFor(MAX * 2)) throw new Error("something is still counted");
  });
  t.pass();
});

t.test("a shard's reads are forgotten with its lane, others' are not", async (t) => {
  const answers = new GuestAnswers(() => 0);
  answers.asked(1, 10, 100_000);
  answers.asked(2, 11, 100_000);
  answers.forgetShard(1);
  t.notOk(answers.answered(10));
  t.ok(answers.answered(11));
});
