import t from "tap";
import { type DiskLook, DiskWatch } from "../../src/node/disk-watch.ts";
import type { VolumeSpace } from "../../src/node/volume.ts";

function watchOf(): {
  watch: DiskWatch;
  volume: { totalBytes: number; freeBytes: number };
  changes: DiskLook[];
  rooms: number[];
} {
  const volume = { totalBytes: 1000, freeBytes: 500 };
  const changes: DiskLook[] = [];
  const measure = (): Promise<VolumeSpace> => Promise.resolve({ ...volume });
  const rooms: number[] = [];
  const watch = new DiskWatch({
    measure,
    onChange: (state) => changes.push(state),
    onRoom: ({ roomBytes }) => rooms.push(roomBytes),
  });
  return { watch, volume, changes, rooms };
}

t.test("a disk becomes low once, and is not before it has clearly more room again", async (t) => {
  const { watch, volume, changes } = watchOf();
  for (const freeBytes of [500, 50, 49, 10, 55, 62]) {
    volume.freeBytes = freeBytes;
    await watch.check();
  }
  t.match(changes, [{ low: true, freeBytes: 49 }], "below 5 %");
  t.match(watch.state, { low: true, freeBytes: 62 });
  volume.freeBytes = 63;
  await watch.check();
  t.match(changes, [{ low: true }, { low: false, freeBytes: 63 }], "from 1.25 times that on");
});

t.test("the nearer the mark, the sooner the next look, and the less may be written until then", async (t) => {
  const { watch, volume, rooms } = watchOf();
  const GIB = 2 ** 30;
  volume.totalBytes = 100 * GIB;
  const waits: number[] = [];
  for (const freeGib of [50, 5, 3, 1.5, 1.5, 1, 0.9, 1.2, 1.25]) {
    volume.freeBytes = freeGib * GIB;
    await watch.check();
    waits.push(watch.checkAfterMs);
  }
  t.same(waits, [1000, 1000, 50, 50, 50, 50, 1000, 1000, 50], "while it is low nothing is published");
  t.same(
    rooms.map((bytes) => bytes / GIB),
    [1, 0.25, 0.25, 1 / GIB, 0, 0.125],
    "half of what is left, told each time: part of it may have been used up without leaving a trace",
  );
});

t.test("a look that says nothing changes nothing", async (t) => {
  const { watch, volume, changes } = watchOf();
  volume.freeBytes = 0;
  await watch.check();
  volume.totalBytes = 0;
  await watch.check();
  t.equal(changes.length, 1);
  t.equal(watch.state.low, true);
});

t.test("a file system that takes its time is asked once", async (t) => {
  let asked = 0;
  let answer: (space: VolumeSpace) => void = () => {};
  const watch = new DiskWatch({
    measure: () => {
      asked += 1;
      return new Promise((resolve) => {
        answer = resolve;
      });
    },
    onChange: () => {},
    onRoom: () => {},
  });
  const first = watch.check();
  await watch.check();
  t.equal(asked, 1);
  answer({ totalBytes: 1000, freeBytes: 1 });
  await first;
  t.equal(watch.state.low, true);
});
