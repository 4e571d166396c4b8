import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import {
  type OpenMode,
  RealStorage,
  SeededRandom,
  SimulatedStorage,
  type Storage,
} from "../../src/internal.ts";
import { JOURNAL_LIMITS } from "../../src/limits.ts";
import { ColdWindow } from "../../src/read/cold-window.ts";
import { FileAccess } from "../../src/read/file-access.ts";
import { writeFully } from "../../src/storage/storage.ts";
import { DelegatingStorage } from "../broken-storage.ts";
import { seedOfRun } from "../seed-of-run.ts";
import { FakeDisk } from "./fake-disk.ts";

const FILE_BYTES = 5_000_000 + 72;

/** Counts reads past the page cache, and lets them fail as a test wants. */
class WatchedStorage extends DelegatingStorage {
  direct = 0;
  opened = 0;
  /** Errno of direct reads, or of their open. */
  failRead: string | undefined;
  failOpen: string | undefined;
  private readonly directFds: Set<number> = new Set();

  override open(path: string, mode: OpenMode): number {
    if (mode === "readDirect" && this.failOpen !== undefined) throw failure(this.failOpen);
    const fd = super.open(path, mode);
    this.opened++;
    if (mode === "readDirect") this.directFds.add(fd);
    return fd;
  }

  override close(fd: number): void {
    this.opened--;
    this.directFds.delete(fd);
    super.close(fd);
  }

  override read(fd: number, target: Uint8Array, start: number, length: number, position: number): number {
    if (this.directFds.has(fd)) {
      if (this.failRead !== undefined) throw failure(this.failRead);
      if (position % 4_096 !== 0 || length % 4_096 !== 0) throw failure("EINVAL");
      this.direct++;
    }
    return super.read(fd, target, start, length, position);
  }
}

function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}

function contentOf(random: SeededRandom): Buffer {
  const content = Buffer.alloc(FILE_BYTES);
  for (let at = 0; at + 4 <= FILE_BYTES; at += 4) content.writeUInt32LE(random.uint32(), at);
  return content;
}

/** Loads here and there, mostly forwards, and compares. @returns what was wrong */
function compareLoads(window: ColdWindow, content: Buffer, random: SeededRandom, loads: number): string[] {
  const wrong: string[] = [];
  let offset = 0;
  for (let i = 0; i < loads; i++) {
    if (random.chance(0.1)) offset = random.below(FILE_BYTES >> 3) * 8;
    const length = 1 + random.below(random.chance(0.05) ? 2_500_000 : 70_000);
    const readEnd = offset + length + random.below(2_000_000);
    const index = window.load(offset, length, readEnd);
    if (offset + length > FILE_BYTES) {
      if (index >= 0) wrong.push(`offset=${offset} length=${length} lies beyond the end, index=${index}`);
      offset = 0;
      continue;
    }
    const got = index < 0 ? undefined : window.bytes.subarray(index, index + length);
    if (got === undefined || !got.equals(content.subarray(offset, offset + length))) {
      wrong.push(`offset=${offset} length=${length} index=${index}`);
    } else if (index % 8 !== 0 || window.words[index >> 2] !== window.bytes.readInt32LE(index)) {
      wrong.push(`offset=${offset}: words do not show the bytes at index=${index}`);
    }
    offset += (length + 7) & -8;
  }
  return wrong;
}

const seeds = seedOfRun();
for (let run = 0; run < seeds.count(4); run++) {
  const seed = seeds.first + run;
  t.test(`reads past the page cache and through it give the same: seed ${seed}`, async (t) => {
    const random = new SeededRandom(seed);
    const content = contentOf(random);
    const path = join(t.testdir(), "file");
    writeFileSync(path, content);
    const simulated = new SimulatedStorage(random);
    simulated.mkdir("/data");
    const made = simulated.open("/data/file", "create");
    writeFully(simulated, made, content, 0, content.length, 0);
    simulated.close(made);
    for (const [storage, name] of [
      [new RealStorage(), path],
      [simulated, "/data/file"],
    ] as const) {
      const watched = new WatchedStorage(storage as Storage);
      const access = new FileAccess(watched, name, watched.open(name, "read"));
      const disk = new FakeDisk(
        () => random.chance(0.9),
        () => random.chance(0.8),
      );
      const window = new ColdWindow(watched, disk);
      window.attach(access, true);
      t.same(compareLoads(window, content, random, 300), [], `MILLRACE_SEED=${seed}`);
      if (storage === simulated) t.ok(watched.direct > 0, `${watched.direct} reads past the page cache`);
      access.close();
      t.equal(watched.opened, 0, "no file stays open");
    }
  });
}

t.test("what cannot be read past the page cache is read through it", async (t) => {
  const random = new SeededRandom(7);
  const content = contentOf(random);
  const path = join(t.testdir(), "file");
  writeFileSync(path, content);
  for (const [what, value] of [
    ["failOpen", "EINVAL"],
    ["failOpen", "ENOENT"],
    ["failRead", "EINVAL"],
    ["failRead", "EIO"],
  ] as const) {
    const watched = new WatchedStorage(new RealStorage());
    watched[what] = value;
    const access = new FileAccess(watched, path, watched.open(path, "read"));
    const disk = new FakeDisk(
      () => true,
      () => true,
    );
    const window = new ColdWindow(watched, disk);
    window.attach(access, true);
    t.same(compareLoads(window, content, random, 100), [], `${what} ${value}`);
    access.close();
    t.equal(watched.opened, 0);
  }
});

t.test(
  "only a file that the disk is asked for is read past the page cache, while others write",
  async (t) => {
    const random = new SeededRandom(9);
    const simulated = new SimulatedStorage(random);
    simulated.mkdir("/data");
    const made = simulated.open("/data/file", "create");
    writeFully(simulated, made, Buffer.alloc(FILE_BYTES), 0, FILE_BYTES, 0);
    simulated.close(made);
    const watched = new WatchedStorage(simulated);
    let isBusy = true;
    let isCold = false;
    const disk = new FakeDisk(
      () => isBusy,
      () => isCold,
    );
    const access = new FileAccess(watched, "/data/file", watched.open("/data/file", "read"));
    const window = new ColdWindow(watched, disk);
    const through = (bytes: number): number => {
      const before = watched.direct;
      for (let done = 0; done < bytes; done += 262_144) {
        window.attach(access, true);
        window.load(0, 88, 262_144);
      }
      return watched.direct - before;
    };
    t.equal(through(5_000_000), 0, "in the page cache");
    isCold = true;
    t.equal(through(262_144), 0, "the read that finds out");
    t.ok(through(262_144) >= 1, "then past it");
    isBusy = false;
    t.equal(through(5_000_000), 0, "nobody else wants the disk");
    isBusy = true;
    t.ok(through(262_144) >= 1, "again somebody does");
    isCold = false;
    through(JOURNAL_LIMITS.coldProbeBytes);
    t.equal(through(2_000_000), 0, "by and by a look at the page cache finds it there");
    isCold = true;
    const mutable = watched.direct;
    for (let i = 0; i < 8; i++) {
      window.attach(access, false);
      window.load(0, 88, 262_144);
    }
    t.equal(watched.direct, mutable, "what may still change is read through it");
  },
);
