import t from "tap";
import { TotalRetention } from "../../src/node/total-retention.ts";
import type { ShardStatus } from "../../src/shard/shard-requests.ts";

/** A shard with files of 100 bytes, oldest first, and `unsettled` bytes. */
interface FakeShard {
  readonly files: number[];
  readonly unsettled: number;
}

function statusOf(shardId: number, { files, unsettled }: FakeShard): ShardStatus {
  return {
    shardId,
    epoch: 1,
    partitions: 1,
    producers: 0,
    stagedPosition: 0,
    committedPosition: 0,
    storedBytes: files.length * 100 + unsettled,
    settledFiles: files.length,
    backlogBytes: 0,
    oldestMs: files[0] ?? 0,
    refusing: null,
  };
}

function retentionOf(shards: FakeShard[], boundBytes: number) {
  const drops: [shardId: number, files: number][] = [];
  const stuck: boolean[] = [];
  const retention = new TotalRetention({
    boundBytes,
    statuses: () => Promise.resolve(shards.map((shard, shardId) => statusOf(shardId, shard))),
    drop: (shardId, bytes, untilMs) => {
      const { files } = shards[shardId] as FakeShard;
      let dropped = 0;
      while (
        files.length > 0 &&
        dropped * 100 < bytes &&
        (dropped === 0 || (files[0] as number) <= untilMs)
      ) {
        files.shift();
        dropped += 1;
      }
      return Promise.resolve({ files: dropped, bytes: dropped * 100, partitions: 1, starts: [] });
    },
    onDropped: (shardId, { files }) => drops.push([shardId, files]),
    onStuck: (is) => stuck.push(is),
  });
  return { retention, drops, stuck };
}

t.test("the oldest files of all shards go, until the sum is below the bound", async (t) => {
  const shards = [
    { files: [10, 20, 50, 60], unsettled: 0 },
    { files: [30, 40, 70], unsettled: 50 },
  ];
  const { retention, drops, stuck } = retentionOf(shards, 350);
  await retention.check();
  t.same(drops, [
    [0, 2],
    [1, 2],
  ]);
  t.same(
    shards.map(({ files }) => files),
    [[50, 60], [70]],
  );
  await retention.check();
  t.equal(drops.length, 2, "nothing more to do");
  t.same(stuck, []);
});

t.test("it says once that there is nothing to drop", async (t) => {
  const shards = [{ files: [10], unsettled: 1000 }];
  const { retention, drops, stuck } = retentionOf(shards, 500);
  await retention.check();
  await retention.check();
  t.same(drops, [[0, 1]]);
  t.same(stuck, [true]);
  shards[0] = { files: [], unsettled: 100 };
  await retention.check();
  t.same(stuck, [true, false]);
});

t.test("without a bound nothing is asked", async (t) => {
  const { retention, drops } = retentionOf([{ files: [10], unsettled: 1000 }], 0);
  await retention.check();
  t.same(drops, []);
});
