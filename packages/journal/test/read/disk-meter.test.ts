import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { DiskMeter } from "../../src/internal.ts";

t.test("reads what the kernel counts for the thread", async (t) => {
  const path = join(t.testdir(), "io");
  const write = (bytes: number): void =>
    writeFileSync(
      path,
      `rchar: 9999\nwchar: 1\nsyscr: 12\nsyscw: 3\nread_bytes: ${bytes}\nwrite_bytes: 77\n`,
    );
  write(0);
  const meter = DiskMeter.open(path);
  t.equal(meter?.bytesRead(), 0);
  write(1_234_567_890_123);
  t.equal(meter?.bytesRead(), 1_234_567_890_123);
});

t.test("says so when nobody counts", async (t) => {
  const path = join(t.testdir(), "io");
  t.equal(DiskMeter.open(path), undefined);
  writeFileSync(path, "rchar: 1\n");
  t.equal(DiskMeter.open(path), undefined);
});

t.test("on this machine", { skip: process.platform !== "linux" }, async (t) => {
  const meter = DiskMeter.open();
  const before = meter?.bytesRead() ?? 0;
  t.ok((meter?.bytesRead() ?? 0) >= before);
});
