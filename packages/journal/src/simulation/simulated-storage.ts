import type { OpenMode, Storage } from "../storage/storage.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { SimulatedFile } from "./simulated-file.ts";

/** The machine stopped in the middle of a call. Every later call throws it too, until `restart`. */
export class SimulatedCrash extends Error {
  override readonly name: string = "SimulatedCrash";
}

/** What a machine that restarts has lost. `power`: what was not synced. `process`: nothing but open files. */
export type CrashKind = "power" | "process";

/** A change of a folder that is durable only when the folder is synced. */
type NameChange =
  | { readonly kind: "create"; readonly path: string; readonly file: SimulatedFile }
  | { readonly kind: "rename"; readonly from: string; readonly to: string }
  | { readonly kind: "unlink"; readonly path: string };

/**
 * A file system in memory that treats its users as badly as it may: unsynced sectors survive a power loss in any subset,
 * unsynced names in any subset or prefix, writes are short, disks fill up, syncs fail, and the machine stops at any call.
 * The same seed does the same again.
 */
export class SimulatedStorage implements Storage {
  /** The call with this number, counted from 0, crashes. */
  crashAtCall: number = Number.POSITIVE_INFINITY;
  /** The next syncs that fail with EIO: counts down at each sync of a file, fails at 0; negative never. */
  failSyncIn = -1;
  /** Probability that a write takes only a part of its bytes. */
  shortWriteChance = 0;
  /** Bytes that all files may have together. */
  capacityBytes: number = Number.POSITIVE_INFINITY;
  /** Calls so far. */
  calls = 0;

  private readonly random: SeededRandom;
  private readonly directories: Set<string> = new Set();
  private names: Map<string, SimulatedFile> = new Map();
  private durableNames: Map<string, SimulatedFile> = new Map();
  private changes: NameChange[] = [];
  private readonly files: Map<number, SimulatedFile> = new Map();
  private nextFd = 3;
  private crashed = false;

  constructor(random: SeededRandom) {
    this.random = random;
  }

  get hasCrashed(): boolean {
    return this.crashed;
  }

  /** Open files, to find those that were forgotten. */
  get openCount(): number {
    return this.files.size;
  }

  /** Stops the machine, if it has not stopped, and starts it again. */
  restart(kind: CrashKind): void {
    this.crashed = false;
    this.crashAtCall = Number.POSITIVE_INFINITY;
    this.failSyncIn = -1;
    this.files.clear();
    if (kind === "process") return;
    const { random } = this;
    const prefix = random.chance(0.5) ? random.below(this.changes.length + 1) : undefined;
    const keepChance = random.pick([0, 0.5, 1]);
    this.changes.forEach((change, i) => {
      if (prefix === undefined ? random.chance(keepChance) : i < prefix) this.makeDurable(change);
    });
    this.changes = [];
    this.names = new Map(this.durableNames);
    for (const file of new Set(this.names.values())) file.losePower(random);
  }

  /** The same machine once more, to damage a copy. */
  clone(random: SeededRandom): SimulatedStorage {
    const copy = new SimulatedStorage(random);
    const copies = new Map<SimulatedFile, SimulatedFile>();
    const copyOf = (file: SimulatedFile): SimulatedFile => {
      let made = copies.get(file);
      if (made === undefined) {
        made = file.clone();
        copies.set(file, made);
      }
      return made;
    };
    for (const path of this.directories) copy.directories.add(path);
    for (const [path, file] of this.names) copy.names.set(path, copyOf(file));
    for (const [path, file] of this.durableNames) copy.durableNames.set(path, copyOf(file));
    copy.changes = this.changes.map((change) =>
      change.kind === "create" ? { ...change, file: copyOf(change.file) } : change,
    );
    return copy;
  }

  /** All paths and sizes. */
  contents(): { path: string; size: number }[] {
    return [...this.names].map(([path, file]) => ({ path, size: file.size }));
  }

  /** Bytes of all files; those with several names count once. */
  get usedBytes(): number {
    let used = 0;
    for (const each of new Set(this.names.values())) used += each.size;
    return used;
  }

  /** Damages a byte that is at rest. */
  flipBit(path: string, position: number, bit: number): void {
    this.fileAt(path).flipBit(position, bit);
  }

  open(path: string, mode: OpenMode): number {
    this.step();
    let file = this.names.get(path);
    if (mode === "create") {
      if (file === undefined) {
        file = new SimulatedFile();
        this.change({ kind: "create", path, file });
      } else {
        file.truncate(0);
      }
    }
    if (file === undefined) throw storageError("ENOENT", `open ${path}`);
    const fd = this.nextFd;
    this.nextFd++;
    this.files.set(fd, file);
    return fd;
  }

  close(fd: number): void {
    this.step();
    this.fileOf(fd);
    this.files.delete(fd);
  }

  size(fd: number): number {
    this.step();
    return this.fileOf(fd).size;
  }

  read(fd: number, target: Uint8Array, targetStart: number, length: number, position: number): number {
    this.step();
    return this.fileOf(fd).read(target, targetStart, length, position);
  }

  write(fd: number, source: Uint8Array, sourceStart: number, length: number, position: number): number {
    return this.writeSome(fd, source, sourceStart, length, position);
  }

  writev(fd: number, sources: Uint8Array[], position: number): number {
    const all = Buffer.concat(sources);
    return this.writeSome(fd, all, 0, all.length, position);
  }

  sync(fd: number): void {
    this.step();
    const file = this.fileOf(fd);
    if (this.failSyncIn === 0) {
      this.failSyncIn = -1;
      file.failSync(this.random);
      throw storageError("EIO", "sync");
    }
    if (this.failSyncIn > 0) this.failSyncIn--;
    file.sync();
  }

  syncDirectory(path: string): void {
    this.step();
    const inside = (change: NameChange): boolean =>
      directoryOf(change.kind === "rename" ? change.to : change.path) === path;
    for (const change of this.changes) if (inside(change)) this.makeDurable(change);
    this.changes = this.changes.filter((change) => !inside(change));
  }

  truncate(fd: number, size: number): void {
    this.step();
    this.fileOf(fd).truncate(size);
  }

  rename(from: string, to: string): void {
    this.step();
    this.fileAt(from);
    this.change({ kind: "rename", from, to });
  }

  unlink(path: string): void {
    this.step();
    this.fileAt(path);
    this.change({ kind: "unlink", path });
  }

  link(from: string, to: string): void {
    this.step();
    const file = this.fileAt(from);
    if (this.names.has(to)) throw storageError("EEXIST", to);
    this.change({ kind: "create", path: to, file });
  }

  mkdir(path: string): void {
    this.step();
    for (let at = path; at.length > 0; at = directoryOf(at)) this.directories.add(at);
  }

  list(path: string): string[] {
    this.step();
    return [...this.names.keys()]
      .filter((name) => directoryOf(name) === path)
      .map((name) => name.slice(path.length + 1))
      .sort();
  }

  exists(path: string): boolean {
    this.step();
    return this.names.has(path) || this.directories.has(path);
  }

  private writeSome(
    fd: number,
    source: Uint8Array,
    sourceStart: number,
    length: number,
    position: number,
  ): number {
    const file = this.fileOf(fd);
    if (this.isLastCall()) {
      // The machine stops in the middle of the write.
      file.write(source, sourceStart, this.random.below(length + 1), position);
    }
    this.step();
    const room = this.roomFor(file, position);
    if (room <= 0) throw storageError("ENOSPC", "write");
    let written = Math.min(length, room);
    if (this.shortWriteChance > 0 && this.random.chance(this.shortWriteChance)) {
      written = 1 + this.random.below(written);
    }
    file.write(source, sourceStart, written, position);
    return written;
  }

  /** Bytes that fit at a position: what the file has already, and what the disk has left. */
  private roomFor(file: SimulatedFile, position: number): number {
    if (this.capacityBytes === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY;
    return Math.max(0, this.capacityBytes - this.usedBytes) + Math.max(0, file.size - position);
  }

  private isLastCall(): boolean {
    return !this.crashed && this.calls >= this.crashAtCall;
  }

  private step(): void {
    if (this.crashed || this.calls >= this.crashAtCall) {
      this.crashed = true;
      throw new SimulatedCrash(`the machine stopped at call ${this.calls}`);
    }
    this.calls++;
  }

  private change(change: NameChange): void {
    apply(this.names, change);
    this.changes.push(change);
  }

  private makeDurable(change: NameChange): void {
    apply(this.durableNames, change);
  }

  private fileOf(fd: number): SimulatedFile {
    const file = this.files.get(fd);
    if (file === undefined) {
      if (this.crashed) throw new SimulatedCrash("the machine has stopped");
      throw storageError("EBADF", `file descriptor ${fd}`);
    }
    return file;
  }

  private fileAt(path: string): SimulatedFile {
    const file = this.names.get(path);
    if (file === undefined) throw storageError("ENOENT", path);
    return file;
  }
}

/** A change that has lost what it needs does not happen. */
function apply(names: Map<string, SimulatedFile>, change: NameChange): void {
  if (change.kind === "create") {
    names.set(change.path, change.file);
  } else if (change.kind === "unlink") {
    names.delete(change.path);
  } else {
    const file = names.get(change.from);
    if (file === undefined) return;
    names.delete(change.from);
    names.set(change.to, file);
  }
}

function directoryOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

function storageError(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}
