import t from "tap";
import {
  diskLowBytesFor,
  measureVolume,
  reserveBytesFor,
  retentionTotalFor,
  segmentBytesFor,
} from "../../src/node/volume.ts";

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

t.test("sizes follow the volume", async (t) => {
  t.equal(segmentBytesFor(256 * MIB), 4 * MIB);
  t.equal(segmentBytesFor(2 * GIB), 32 * MIB);
  t.equal(segmentBytesFor(3 * GIB), 32 * MIB, "a power of two, rounded down");
  t.equal(segmentBytesFor(100 * GIB), 64 * MIB);
  t.equal(reserveBytesFor(256 * MIB, 2), 2 * MIB);
  t.equal(reserveBytesFor(100 * GIB, 4), 8 * MIB);
  t.equal(reserveBytesFor(256 * MIB, 1024), 4096);
  t.equal(diskLowBytesFor(256 * MIB), 256 * MIB * 0.05, "5 % of a small volume");
  t.equal(diskLowBytesFor(1024 * GIB), GIB, "1 GiB of a large one");
  t.equal(retentionTotalFor(100 * GIB), 80 * GIB);
});

t.test("a volume that does not say how large it is gets what a large one gets, and no bounds", async (t) => {
  const { totalBytes } = await measureVolume("/no/such/folder");
  t.equal(totalBytes, 0);
  t.equal(segmentBytesFor(totalBytes), 64 * MIB);
  t.equal(reserveBytesFor(totalBytes, 4), 8 * MIB);
  t.equal(diskLowBytesFor(totalBytes), 0);
  t.equal(retentionTotalFor(totalBytes), 0);
});

t.test("the system says how large a volume is", async (t) => {
  const { totalBytes, freeBytes } = await measureVolume(t.testdir());
  t.ok(totalBytes > 0 && freeBytes >= 0 && freeBytes <= totalBytes);
});
