import t from "tap";
import {
  firstEpochOf,
  GroupCoordinator,
  JOIN_BATCH_MS,
  REJOIN_WINDOW_MS,
  REVOKE_WITHIN_MS,
} from "../../src/subscription/group-coordinator.ts";

const FIRST = firstEpochOf(3);

/** A group in which member 1 holds all of four partitions since 0 ms. */
function heldByOne(): GroupCoordinator {
  const group = new GroupCoordinator(4, FIRST);
  group.join(0, 1, []);
  group.work(JOIN_BATCH_MS);
  return group;
}

t.test("who joins within a moment is served at once, with one change each", async (t) => {
  const group = new GroupCoordinator(4, FIRST);
  t.equal(group.nextTimerMs(), Number.POSITIVE_INFINITY);
  group.join(0, 1, []);
  group.join(5, 2, []);
  t.same(group.work(5), []);
  t.equal(group.nextTimerMs(), JOIN_BATCH_MS);
  t.same(group.work(JOIN_BATCH_MS), [
    {
      consumerId: 1,
      assigned: [
        [0, FIRST],
        [2, FIRST],
      ],
      revoked: [],
      withinMs: REVOKE_WITHIN_MS,
    },
    {
      consumerId: 2,
      assigned: [
        [1, FIRST],
        [3, FIRST],
      ],
      revoked: [],
      withinMs: REVOKE_WITHIN_MS,
    },
  ]);
  t.equal(group.nextTimerMs(), Number.POSITIVE_INFINITY);
  t.same(group.holder(1), { consumerId: 2, epoch: FIRST });
});

t.test("a newcomer gets what the others have released, and only that pauses", async (t) => {
  const group = heldByOne();
  group.join(1000, 2, []);
  t.same(group.work(1000 + JOIN_BATCH_MS), [
    {
      consumerId: 1,
      assigned: [],
      revoked: [
        [2, FIRST],
        [3, FIRST],
      ],
      withinMs: REVOKE_WITHIN_MS,
    },
  ]);
  group.released(2000, 1, [[2, FIRST]]);
  t.same(group.work(2000), [
    { consumerId: 2, assigned: [[2, FIRST + 1]], revoked: [], withinMs: REVOKE_WITHIN_MS },
  ]);
  group.released(2000, 1, [
    [2, FIRST],
    [3, FIRST + 1],
    [9, FIRST],
  ]);
  t.same(group.work(2000), [], "what it does not hold under that epoch is passed over");
});

t.test("what is not released in time is taken", async (t) => {
  const group = heldByOne();
  group.join(1000, 2, []);
  const revokedMs = 1000 + JOIN_BATCH_MS;
  group.work(revokedMs);
  t.equal(group.nextTimerMs(), revokedMs + REVOKE_WITHIN_MS);
  const changes = group.work(revokedMs + REVOKE_WITHIN_MS);
  t.match(changes, [
    {
      consumerId: 1,
      assigned: [],
      revoked: [
        [2, FIRST],
        [3, FIRST],
      ],
      withinMs: 0,
    },
    {
      consumerId: 2,
      assigned: [
        [2, FIRST + 1],
        [3, FIRST + 1],
      ],
      revoked: [],
    },
  ]);
  t.equal(group.nextTimerMs(), Number.POSITIVE_INFINITY);
});

t.test("what a member held is free when it leaves", async (t) => {
  const group = heldByOne();
  group.join(1000, 2, []);
  group.work(2000);
  group.leave(2000, 1);
  t.match(group.work(2000), [{ consumerId: 2, assigned: [[0], [1], [2], [3]], revoked: [] }]);
  group.leave(2000, 1);
  group.leave(3000, 2);
  t.same(group.work(3000), []);
  t.equal(group.memberCount, 0);
  t.equal(group.lastEpoch, FIRST + 1);
});

t.test("after a seek everybody gets its own anew, under new epochs", async (t) => {
  const group = heldByOne();
  group.join(1000, 2, []);
  group.work(2000);
  group.reset(3000);
  t.equal(group.nextTimerMs(), Number.NEGATIVE_INFINITY);
  t.match(group.work(3000), [
    {
      consumerId: 1,
      revoked: [
        [0, FIRST],
        [1, FIRST],
        [2, FIRST],
        [3, FIRST],
      ],
      withinMs: 0,
    },
    {
      consumerId: 1,
      assigned: [
        [0, FIRST + 1],
        [1, FIRST + 1],
      ],
      revoked: [],
    },
    {
      consumerId: 2,
      assigned: [
        [2, FIRST + 1],
        [3, FIRST + 1],
      ],
      revoked: [],
    },
  ]);
});

t.test("after the coordinator was lost all go on with what they hold", async (t) => {
  const first = firstEpochOf(4);
  const group = new GroupCoordinator(4, first);
  group.join(0, 1, [
    [0, FIRST],
    [1, FIRST + 7],
  ]);
  t.same(group.work(100), [], "the others are waited for");
  group.join(200, 2, [
    [1, FIRST + 3],
    [2, FIRST],
  ]);
  t.match(
    group.work(200),
    [{ consumerId: 2, revoked: [[1, FIRST + 3]], withinMs: 0 }],
    "the later one is right",
  );
  group.join(200, 3, [[0, FIRST + 9]]);
  t.match(group.work(200), [{ consumerId: 1, revoked: [[0, FIRST]], withinMs: 0 }]);
  t.equal(group.nextTimerMs(), REJOIN_WINDOW_MS);
  t.match(group.work(REJOIN_WINDOW_MS), [{ consumerId: 1, assigned: [[3, first]], revoked: [] }]);
  // Who comes later than that has lost what it held.
  group.join(10_000, 4, [[3, FIRST]]);
  t.match(group.work(10_000), [{ consumerId: 4, assigned: [], revoked: [[3, FIRST]], withinMs: 0 }]);
});

t.test("after the coordinator was lost, who held nothing waits for those who do", async (t) => {
  const group = new GroupCoordinator(2, FIRST);
  group.join(0, 3, [], true);
  t.same(group.work(JOIN_BATCH_MS), [], "of another gateway, whose way to the shard was there first");
  group.join(100, 1, [
    [0, 7],
    [1, 8],
  ]);
  const told = group.work(REJOIN_WINDOW_MS);
  t.same(
    told.map(({ consumerId, revoked }) => [consumerId, revoked]),
    [[1, [[1, 8]]]],
    "nothing was taken, and one is asked back",
  );
});

t.test("a hundred members come to a thousand partitions", async (t) => {
  const group = new GroupCoordinator(1000, FIRST);
  for (let member = 1; member <= 50; member += 1) group.join(0, member, []);
  group.work(JOIN_BATCH_MS);
  const begin = process.hrtime.bigint();
  for (let member = 51; member <= 100; member += 1) group.join(100, member, []);
  let nowMs = 100 + JOIN_BATCH_MS;
  let moved = 0;
  for (let changes = group.work(nowMs); changes.length > 0; changes = group.work(nowMs)) {
    nowMs += 1;
    for (const { consumerId, revoked, assigned } of changes) {
      group.released(nowMs, consumerId, revoked);
      moved += assigned.length;
    }
  }
  const tookMs = Number(process.hrtime.bigint() - begin) / 1e6;
  t.equal(moved, 500);
  t.comment(`${tookMs.toFixed(1)} ms`);
  t.ok(tookMs < 100, `took ${tookMs} ms`);
});
