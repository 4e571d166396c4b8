import t from "tap";
import { SeededRandom, SimulatedCrash, SimulatedStorage } from "../src/internal.ts";

const BYTES = Buffer.alloc(4096, 1);

function machine(seed: number): SimulatedStorage {
  const storage = new SimulatedStorage(new SeededRandom(seed));
  storage.mkdir("/d");
  return storage;
}

/** Content of a file, or undefined. */
function content(storage: SimulatedStorage, path: string): Buffer | undefined {
  if (!storage.exists(path)) return undefined;
  const fd = storage.open(path, "read");
  const bytes = Buffer.alloc(storage.size(fd));
  storage.read(fd, bytes, 0, bytes.length, 0);
  storage.close(fd);
  return bytes;
}

t.test("what is synced with its folder survives, what is not may be lost in parts", async (t) => {
  const outcomes = new Set<string>();
  for (let seed = 0; seed < 200; seed++) {
    const storage = machine(seed);
    const fd = storage.open("/d/a", "create");
    storage.write(fd, BYTES, 0, 2048, 0);
    storage.sync(fd);
    storage.syncDirectory("/d");
    storage.write(fd, BYTES, 0, 2048, 2048);
    const other = storage.open("/d/b", "create");
    storage.write(other, BYTES, 0, 10, 0);
    storage.sync(other);
    storage.restart("power");
    const a = content(storage, "/d/a") as Buffer;
    t.ok(a.length >= 2048 && a.subarray(0, 2048).equals(BYTES.subarray(0, 2048)), "synced bytes are there");
    const rest = a.subarray(2048);
    outcomes.add(`bytes ${rest.length === 0 ? "none" : rest.includes(0) ? "some" : "all"}`);
    outcomes.add(`name ${storage.exists("/d/b") ? "kept" : "lost"}`);
    t.throws(() => storage.size(fd), { code: "EBADF" });
  }
  t.same([...outcomes].sort(), ["bytes all", "bytes none", "bytes some", "name kept", "name lost"]);
});

t.test("a process that ends loses nothing but its open files", async (t) => {
  const storage = machine(1);
  storage.write(storage.open("/d/a", "create"), BYTES, 0, 100, 0);
  storage.restart("process");
  t.equal(storage.openCount, 0);
  t.equal(content(storage, "/d/a")?.length, 100);
});

t.test("renames and removals are durable with their folder only", async (t) => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 100; seed++) {
    const storage = machine(seed);
    storage.close(storage.open("/d/old", "create"));
    storage.close(storage.open("/d/gone", "create"));
    storage.syncDirectory("/d");
    storage.rename("/d/old", "/d/new");
    storage.unlink("/d/gone");
    t.same(storage.list("/d"), ["new"]);
    storage.restart("power");
    seen.add(storage.list("/d").join());
  }
  t.same([...seen].sort(), ["gone,new", "gone,old", "new", "old"]);
});

t.test("stops at the call it is told, and stays stopped", async (t) => {
  const storage = machine(3);
  storage.crashAtCall = storage.calls + 1;
  const fd = storage.open("/d/a", "create");
  t.throws(() => storage.write(fd, BYTES, 0, 4096, 0), SimulatedCrash);
  t.ok(storage.hasCrashed);
  t.throws(() => storage.list("/d"), SimulatedCrash);
  storage.restart("process");
  t.ok((content(storage, "/d/a")?.length ?? -1) <= 4096, "the write happened in part");
});

t.test("a full disk takes what fits", async (t) => {
  const storage = machine(4);
  storage.capacityBytes = 1000;
  const fd = storage.open("/d/a", "create");
  t.equal(storage.write(fd, BYTES, 0, 4096, 0), 1000);
  t.throws(() => storage.write(fd, BYTES, 0, 1, 1000), { code: "ENOSPC" });
  t.equal(storage.write(fd, BYTES, 0, 10, 0), 10, "what exists can be overwritten");
});

t.test("after a failed sync the system believes that all is well", async (t) => {
  let lost = 0;
  for (let seed = 0; seed < 20; seed++) {
    const storage = machine(seed);
    const fd = storage.open("/d/a", "create");
    storage.syncDirectory("/d");
    storage.write(fd, BYTES, 0, 4096, 0);
    storage.failSyncIn = 0;
    t.throws(() => storage.sync(fd), { code: "EIO" });
    storage.sync(fd);
    storage.restart("power");
    if (!content(storage, "/d/a")?.equals(BYTES)) lost++;
  }
  t.ok(lost > 10, `${lost} of 20 lost data that a second sync reported as durable`);
});

t.test("the same seed does the same", async (t) => {
  const run = (): string => {
    const storage = machine(99);
    storage.shortWriteChance = 0.5;
    const fd = storage.open("/d/a", "create");
    const written = [1, 2, 3, 4].map((i) => storage.write(fd, BYTES, 0, 1000, i * 1000));
    storage.syncDirectory("/d");
    storage.restart("power");
    return JSON.stringify([written, content(storage, "/d/a")?.toString("hex")]);
  };
  t.equal(run(), run());
});
