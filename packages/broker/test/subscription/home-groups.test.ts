import t from "tap";
import { firstEpochOf, JOIN_BATCH_MS, REVOKE_WITHIN_MS } from "../../src/subscription/group-coordinator.ts";
import { type AssignmentNotice, HomeGroups } from "../../src/subscription/home-groups.ts";
import { homeShardOf } from "../../src/subscription/home-shard.ts";

const FIRST = firstEpochOf(2);

function withNotices(): { groups: HomeGroups; notices: AssignmentNotice[]; ring: { isFull: boolean } } {
  const notices: AssignmentNotice[] = [];
  const ring = { isFull: false };
  const groups = new HomeGroups(2, (notice) => {
    if (!ring.isFull) notices.push(notice);
    return !ring.isFull;
  });
  return { groups, notices, ring };
}

t.test("members of each subscription share its own partitions", async (t) => {
  const { groups, notices } = withNotices();
  t.equal(groups.nextTimerMs(), Number.POSITIVE_INFINITY);
  groups.join(0, 7, 2, 1, []);
  groups.join(0, 8, 1, 2, []);
  groups.join(0, 7, 2, 3, []);
  t.equal(groups.work(0), 0);
  t.equal(groups.nextTimerMs(), JOIN_BATCH_MS);
  t.equal(groups.work(JOIN_BATCH_MS), 3);
  t.same(notices, [
    ["assignment", 7, 1, [[0, FIRST]], [], REVOKE_WITHIN_MS],
    ["assignment", 7, 3, [[1, FIRST]], [], REVOKE_WITHIN_MS],
    ["assignment", 8, 2, [[0, FIRST]], [], REVOKE_WITHIN_MS],
  ]);
  t.equal(groups.nextTimerMs(), Number.POSITIVE_INFINITY);
});

t.test("notices that find no room are told later, in their order", async (t) => {
  const { groups, notices, ring } = withNotices();
  ring.isFull = true;
  groups.join(0, 7, 1, 1, []);
  groups.work(JOIN_BATCH_MS);
  groups.reset(100, 7);
  t.equal(groups.work(100), 0);
  t.equal(groups.hasNotices, true);
  ring.isFull = false;
  t.equal(groups.work(101), 3);
  t.same(
    notices.map(([, , , assigned, revoked, withinMs]) => [assigned, revoked, withinMs]),
    [
      [[[0, FIRST]], [], REVOKE_WITHIN_MS],
      [[], [[0, FIRST]], 0],
      [[[0, FIRST + 1]], [], REVOKE_WITHIN_MS],
    ],
  );
  t.equal(groups.hasNotices, false);
});

t.test("epochs go up when everybody has left in between", async (t) => {
  const { groups, notices } = withNotices();
  for (let round = 0; round < 3; round += 1) {
    groups.join(round * 100, 7, 1, 1, []);
    groups.work(round * 100 + JOIN_BATCH_MS);
    groups.leave(round * 100 + 50, 7, 1);
    t.equal(groups.size, 0);
    groups.work(round * 100 + 50);
  }
  t.same(
    notices.map(([, , , assigned]) => assigned[0]?.[1]),
    [FIRST, FIRST + 1, FIRST + 2],
  );
  groups.drop(7);
  t.equal(groups.nextTimerMs(), Number.POSITIVE_INFINITY);
});

t.test("what is released in time goes on, what is not is taken when the time is over", async (t) => {
  const { groups, notices } = withNotices();
  groups.join(0, 7, 4, 1, []);
  groups.work(JOIN_BATCH_MS);
  groups.join(100, 7, 4, 2, []);
  groups.work(100 + JOIN_BATCH_MS);
  notices.splice(0);
  groups.released(200, 7, 1, [[2, FIRST]]);
  t.equal(groups.work(200), 1);
  t.same(notices.splice(0), [["assignment", 7, 2, [[2, FIRST + 1]], [], REVOKE_WITHIN_MS]]);
  t.equal(groups.nextTimerMs(), 100 + JOIN_BATCH_MS + REVOKE_WITHIN_MS);
  t.equal(groups.work(groups.nextTimerMs()), 2);
  t.match(notices, [
    ["assignment", 7, 1, [], [[3, FIRST]], 0],
    ["assignment", 7, 2, [[3, FIRST + 1]], []],
  ]);
});

t.test("a group has so many members, and no more", async (t) => {
  const { groups } = withNotices();
  for (let consumer = 1; consumer <= 2048; consumer += 1) groups.join(0, 7, 1, consumer, []);
  t.throws(() => groups.join(0, 7, 1, 5000, []), { code: "TOO_MANY_SUBSCRIPTIONS" });
  groups.join(0, 7, 1, 2048, []);
  t.equal(groups.work(JOIN_BATCH_MS), 1);
});

t.test("requests about groups that are not there change nothing", async (t) => {
  const { groups } = withNotices();
  groups.leave(0, 9, 1);
  groups.released(0, 9, 1, [[0, 1]]);
  groups.reset(0, 9);
  groups.drop(9);
  t.equal(groups.work(0), 0);
  t.equal(groups.size, 0);
});

t.test("homes are spread over the shards", async (t) => {
  const homes = new Set(Array.from({ length: 100 }, (_, i) => homeShardOf(i, "board", 4)));
  t.same([...homes].sort(), [0, 1, 2, 3]);
  t.equal(homeShardOf(3, "board", 4), homeShardOf(3, "board", 4));
});

t.test(
  "members of a gateway that is gone leave, and nobody tells them what they were to be told",
  async (t) => {
    const { groups, notices, ring } = withNotices();
    const lost = 3 * 2 ** 24 + 1;
    groups.join(0, 7, 2, 1, []);
    groups.join(0, 7, 2, lost, []);
    groups.join(0, 8, 1, lost + 1, []);
    ring.isFull = true;
    groups.work(JOIN_BATCH_MS);
    groups.gatewayGone(100, 3);
    t.equal(groups.size, 1);
    ring.isFull = false;
    groups.work(100);
    t.same(notices, [
      ["assignment", 7, 1, [[0, FIRST]], [], REVOKE_WITHIN_MS],
      ["assignment", 7, 1, [[1, FIRST + 1]], [], REVOKE_WITHIN_MS],
    ]);
    // It is back, with the same ids.
    groups.join(200, 7, 2, lost, []);
    groups.work(200 + JOIN_BATCH_MS);
    t.equal(notices.at(-1)?.[2], 1, "what it gets has to be released first");
  },
);
