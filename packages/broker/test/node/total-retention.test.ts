import t from "tap";
import { TotalRetention } from "../../src/node/total-retention.ts";

/** A shard with files of 100 bytes, oldest first, behind them (below zero) those that hold unfinished records, and `unsettled` bytes. */
interface FakeShard {
  readonly files: number[];
  readonly unsettled: number;
}

function retentionOf(
  shards: FakeShard[],
  boundBytes: number,
): {
  retention: TotalRetention;
  drops: [shardId: number, files: number][];
  stuck: boolean[];
} {
  const drops: [shardId: number, files: number][] = [];
  const stuck: boolean[] = [];
  const retention = new TotalRetention({
    boundBytes,
    statuses: () =>
      Promise.resolve(
        shards.map(({ files, unsettled }, shardId) => ({
          shardId,
          storedBytes: files.length * 100 + unsettled,
        })),
      ),
    oldest: (shardId, limit) =>
      Promise.resolve(
        (shards[shardId] as FakeShard).files.slice(0, limit).map((time) => {
          return [Math.abs(time), 100, time < 0] as const;
        }),
      ),
    drop: (shardId, files) => {
      const dropped = (shards[shardId] as FakeShard).files.splice(0, files).length;
      return Promise.resolve({ files: dropped, bytes: dropped * 100, partitions: 1, starts: [] });
    },
    onDropped: (shardId, { files }) => drops.push([shardId, files]),
    onStuck: (is) => stuck.push(is),
  });
  return { retention, drops, stuck };
}

t.test("files with records that somebody has yet to finish go last", async (t) => {
  const shards = [
    { files: [40, -10], unsettled: 0 },
    { files: [30, -20], unsettled: 0 },
  ];
  await retentionOf(shards, 150).retention.check();
  t.same(
    shards.map(({ files }) => files),
    [[], [-20]],
  );
});

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
