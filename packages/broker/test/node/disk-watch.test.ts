import t from "tap";
import { type DiskState, DiskWatch } from "../../src/node/disk-watch.ts";
import type { VolumeSpace } from "../../src/node/volume.ts";

function watchOf(): {
  watch: DiskWatch;
  volume: { totalBytes: number; freeBytes: number };
  changes: DiskState[];
} {
  const volume = { totalBytes: 1000, freeBytes: 500 };
  const changes: DiskState[] = [];
  const measure = (): Promise<VolumeSpace> => Promise.resolve({ ...volume });
  const watch = new DiskWatch({ measure, onChange: (state) => changes.push(state) });
  return { watch, volume, changes };
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
  });
  const first = watch.check();
  await watch.check();
  t.equal(asked, 1);
  answer({ totalBytes: 1000, freeBytes: 1 });
  await first;
  t.equal(watch.state.low, true);
});
