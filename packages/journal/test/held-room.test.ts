import t from "tap";
import { DISK_FULL, FLUSHED, SeededRandom, SimulatedStorage, type Storage } from "../src/internal.ts";
import { discardFile } from "../src/storage/storage.ts";
import { DelegatingStorage } from "./broken-storage.ts";
import { type Fixture, HeldBackground, openFixture, stageTexts, textsOf } from "./journal-fixture.ts";
import { examine } from "./verify/damaged-shard.ts";

const DIRECTORY = "/data/shards/0003";
const SEGMENT_BYTES = 4096;
const HELD_BYTES = 1000;

/**
 * Says of one call for a segment, or for what becomes one, that there is no room; a write writes half of its bytes before
 * that.
 */
class FailingOnce extends DelegatingStorage {
  code = "ENOSPC";
  /** Calls until the one that fails. */
  left: number = Number.POSITIVE_INFINITY;
  private short = false;
  private readonly segments: Set<number> = new Set();

  /** @returns whether a call failed since the last time */
  disarm(): boolean {
    const failed = this.left < 0;
    this.left = Number.POSITIVE_INFINITY;
    this.short = false;
    return failed;
  }

  override open(path: string, mode: Parameters<Storage["open"]>[1]): number {
    if (!/\.log$|\/prepared-/.test(path)) return super.open(path, mode);
    this.step();
    const fd = super.open(path, mode);
    this.segments.add(fd);
    return fd;
  }

  override write(fd: number, source: Uint8Array, start: number, length: number, position: number): number {
    if (!this.segments.has(fd)) return super.write(fd, source, start, length, position);
    if (!this.short && this.left === 0 && length > 1) {
      this.short = true;
      return super.write(fd, source, start, length >> 1, position);
    }
    this.step();
    return super.write(fd, source, start, length, position);
  }

  override rename(from: string, to: string): void {
    if (to.endsWith(".log")) this.step();
    super.rename(from, to);
  }

  private step(): void {
    this.left--;
    if (this.left === -1) throw Object.assign(new Error(`${this.code}: no room`), { code: this.code });
  }
}

interface Rig extends Fixture {
  readonly machine: SimulatedStorage;
  readonly disk: FailingOnce;
}

function rigOf(machine: SimulatedStorage = new SimulatedStorage(new SeededRandom(3))): Rig {
  const disk = new FailingOnce(machine);
  disk.mkdir("/data/shards");
  const fixture = openFixture(DIRECTORY, { storage: disk, segmentSizeBytes: SEGMENT_BYTES });
  return { ...fixture, machine, disk };
}

function names({ machine }: Rig): string[] {
  return machine.list(DIRECTORY).filter((name) => name.endsWith(".log") || name.endsWith(".tmp"));
}

function commit({ journal }: Rig): number {
  const outcome = journal.flush();
  journal.requestSync();
  journal.committedPosition();
  return outcome;
}

/** All texts that a start after a crash finds. */
function recovered({ machine }: Rig): string[] {
  machine.capacityBytes = Number.POSITIVE_INFINITY;
  machine.restart("power");
  const next = rigOf(machine);
  next.journal.close();
  return textsOf(next.recorder);
}

for (const code of ["ENOSPC", "EMFILE"]) {
  for (const held of [0, HELD_BYTES]) {
    t.test(`a roll that fails with ${code} at any call, ${held} bytes held, changes nothing`, async (t) => {
      let failures = 0;
      for (let call = 0; ; call++) {
        const rig = rigOf();
        const { journal, disk } = rig;
        disk.code = code;
        stageTexts(journal, "a");
        commit(rig);
        stageTexts(journal, "not written yet");
        if (held > 0) {
          t.ok(journal.holdRoom(held));
          t.ok(journal.roll(), "takes the file that was held for it");
          stageTexts(journal, "held");
        }
        const before = names(rig).filter((name) => name.endsWith(".log"));
        disk.left = call;
        const rolled = journal.roll();
        const failed = disk.disarm();
        t.equal(rolled, !failed);
        if (failed) {
          failures++;
          t.same(
            names(rig).filter((name) => !/^(held|prepared)-/.test(name) || held === 0),
            before,
            `call ${call}: no file is left`,
          );
        }
        stageTexts(journal, "b");
        t.equal(commit(rig), FLUSHED, `call ${call}: what comes then is written`);
        t.ok(journal.roll(), "and tried again it succeeds");
        stageTexts(journal, "c");
        t.equal(commit(rig), FLUSHED);
        const texts = ["a", "not written yet", ...(held > 0 ? ["held"] : []), "b", "c"];
        t.same(recovered(rig), texts);
        if (!failed) break;
      }
      t.equal(failures, held > 0 ? 5 : 3, "open, write, rename, and before that open and write of the zeros");
    });
  }

  t.test(`a full segment whose successor fails with ${code} at any call waits for it`, async (t) => {
    for (let call = 0; ; call++) {
      const rig = rigOf();
      const { journal, disk } = rig;
      disk.code = code;
      const texts = ["x".repeat(3000), "y".repeat(3000)];
      stageTexts(journal, texts[0] as string);
      commit(rig);
      stageTexts(journal, texts[1] as string);
      disk.left = call;
      t.equal(commit(rig), disk.left < 0 ? DISK_FULL : FLUSHED);
      const failed = disk.disarm();
      if (failed && call < 3) t.equal(names(rig).length, 1, `call ${call}: no file is left`);
      stageTexts(journal, "z");
      t.equal(commit(rig), FLUSHED);
      t.equal(names(rig).length, 2);
      t.same(recovered(rig), [...texts, "z"]);
      if (!failed) break;
    }
  });
}

t.test("held room is there when others have taken all the rest", async (t) => {
  const rig = rigOf();
  const { journal, machine } = rig;
  stageTexts(journal, "a");
  t.ok(journal.holdRoom(HELD_BYTES), "nothing was written before by this owner");
  commit(rig);
  t.ok(journal.holdRoom(HELD_BYTES));
  machine.capacityBytes = 0;
  stageTexts(journal, "b".repeat(500));
  t.equal(commit(rig), FLUSHED, "behind the end");
  t.notOk(journal.holdRoom(HELD_BYTES), "no more can be held");
  t.ok(journal.roll(), "in the next segment's file");
  stageTexts(journal, "c".repeat(200));
  t.equal(commit(rig), FLUSHED);
  t.notOk(journal.roll(), "there is none for another one");
  stageTexts(journal, "d");
  t.equal(commit(rig), FLUSHED, "so this one goes on");
  stageTexts(journal, "e".repeat(3000));
  t.equal(commit(rig), DISK_FULL);
  t.same(recovered(rig), ["a", "b".repeat(500), "c".repeat(200), "d"]);
});

t.test("a checkpoint that found no room takes that of the held file", async (t) => {
  const machine = new SimulatedStorage(new SeededRandom(4));
  machine.mkdir("/data/shards");
  const background = new HeldBackground();
  const { journal } = openFixture(DIRECTORY, { storage: machine, background });
  const checkpoint = (): void => {
    stageTexts(journal, "more");
    journal.checkpoint(Buffer.from("the state"), false);
    journal.flush();
    journal.requestSync();
    journal.committedPosition();
    background.run(machine);
  };
  stageTexts(journal, "a");
  journal.flush();
  t.ok(journal.holdRoom(4 * HELD_BYTES));
  machine.capacityBytes = 0;
  checkpoint();
  t.match(journal.checkpointFailure, { code: "ENOSPC" });
  checkpoint();
  t.equal(journal.checkpointFailure, undefined);
  t.notOk(journal.holdRoom(4 * HELD_BYTES), "that is used up");
  journal.close();
  machine.capacityBytes = Number.POSITIVE_INFINITY;
  machine.restart("power");
  const { recorder } = openFixture(DIRECTORY, { storage: machine });
  t.equal(Buffer.from(recorder.state ?? []).toString(), "the state");
});

t.test("zeros behind the ends of segments are no damage", async (t) => {
  for (const kind of ["process", "power"] as const) {
    for (let seed = 0; seed < 20; seed++) {
      const rig = rigOf(new SimulatedStorage(new SeededRandom(seed)));
      const { journal, machine } = rig;
      for (let i = 0; i < 5; i++) {
        stageTexts(journal, `${i}`);
        t.equal(commit(rig), FLUSHED);
        t.ok(journal.holdRoom(HELD_BYTES));
        if (i % 2 === 1) t.ok(journal.roll());
      }
      machine.restart(kind);
      const findings = examine(machine).filter(({ severity }) => severity === "damage");
      t.same(findings, [], `${kind}, seed ${seed}`);
      t.same(recovered(rig), ["0", "1", "2", "3", "4"]);
    }
  }
});

t.test("what is held is given back in the end", async (t) => {
  const rig = rigOf();
  stageTexts(rig.journal, "a");
  commit(rig);
  rig.journal.holdRoom(HELD_BYTES);
  t.equal(names(rig).length, 3);
  rig.journal.holdRoom(0);
  t.equal(names(rig).length, 2, "but for the next segment's file");
  rig.journal.close();
  t.equal(names(rig).length, 1);
  t.equal(rig.machine.openCount, 0, "every file was closed");
});

t.test("a file that cannot be finished is closed and removed, whatever fails", async (t) => {
  const { machine } = rigOf();
  const fd = machine.open("/data/half", "create");
  discardFile(machine, fd, "/data/half");
  discardFile(machine, fd, "/data/half");
  t.notOk(machine.exists("/data/half"));
});
