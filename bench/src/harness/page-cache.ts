import { readFileSync, rmSync, statfsSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { monotonicMs } from "@millrace/load/internal";

const MIB = 1024 * 1024;
/** Left free: the kernel wants some, and begins to reclaim on its own below. */
const ROOM_BYTES: number = 384 * MIB;
/** Less than this above the room is not worth the reading. */
const SLACK_BYTES: number = 128 * MIB;
const READ_BYTES: number = 4 * MIB;
/** So much is read between two looks at how much memory is free. */
const STEP_BYTES: number = 256 * MIB;
/** Longest sparse file; ext4 allows 16 TiB. */
const FILE_BYTES_MAX: number = 8 * 1024 * 1024 * MIB;
/** After so much without free memory growing less by a quarter of it, several times in a row, what is read does not stay in memory. */
const FUTILE_BYTES: number = 2048 * MIB;
/** Others may give memory back meanwhile. */
const FUTILE_TIMES = 3;
const TMPFS_MAGIC = 0x01021994;
const FILE_NAME = "page-cache-filler";

/** What one filling did. */
export interface PageCacheFilling {
  readonly filledBytes: number;
  readonly freeBytes: number;
  readonly ms: number;
  /** Why there is still free memory, where there is. */
  readonly reason?: "time" | "futile" | "in-memory file system" | "not supported";
}

/**
 * Fills free memory with clean page cache, as it is on any machine that has been up for a while.
 *
 * A virtual machine with free page reporting (a balloon device that tells the host which pages are free) gets each free
 * page anew from its host when it touches it for the first time, which costs about 10 us, or 0.4 GB/s. Whatever writes to
 * free memory then, a log into the page cache above all, is measured at the speed of the hypervisor and not at its own;
 * and whichever subject comes later in a round runs on the pages that an earlier one has touched. Clean cache is handed
 * over without the host. On other machines it costs a moment and changes nothing.
 *
 * The cache is that of a sparse file, whose holes take pages in memory and none on the disk. It is removed by `close()`, at
 * the end of the run and not before: to unlink a file frees its pages.
 */
export class PageCacheFiller {
  readonly #path: string;
  #file: FileHandle | undefined;
  #position = 0;
  #closed = false;

  constructor(folder: string) {
    this.#path = join(folder, FILE_NAME);
  }

  /** Reads on until hardly any memory is free, for at most so long. Called again, it fills what has come free since. */
  async fill(
    timeoutMs: number,
    onProgress: (text: string) => void = () => undefined,
  ): Promise<PageCacheFilling> {
    const startedMs = monotonicMs();
    let free = freeMemoryBytes();
    const done = (reason?: PageCacheFilling["reason"]): PageCacheFilling => ({
      filledBytes: this.#position - from,
      freeBytes: free ?? 0,
      ms: monotonicMs() - startedMs,
      ...(reason === undefined ? {} : { reason }),
    });
    const from = this.#position;
    if (free === undefined || this.#closed) return done("not supported");
    if (free < ROOM_BYTES + SLACK_BYTES) return done();
    if (isInMemory(this.#path)) return done("in-memory file system");
    this.#file ??= await open(this.#path, "w+");
    await this.#file.truncate(FILE_BYTES_MAX);
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    let futile = 0;
    let freeBefore = free;
    let positionBefore = from;
    while (!this.#closed && free > ROOM_BYTES) {
      if (monotonicMs() - startedMs > timeoutMs) return done("time");
      const step = Math.min(STEP_BYTES, free - ROOM_BYTES + READ_BYTES);
      for (let read = 0; read < step && !this.#closed; read += READ_BYTES) {
        await this.#file.read(buffer, 0, READ_BYTES, this.#position);
        this.#position += READ_BYTES;
      }
      free = freeMemoryBytes() ?? 0;
      const read = this.#position - positionBefore;
      if (read >= FUTILE_BYTES) {
        // A container's memory limit, or a file system that keeps no holes in memory.
        futile = freeBefore - free < read / 4 ? futile + 1 : 0;
        if (futile === FUTILE_TIMES) return done("futile");
        freeBefore = free;
        positionBefore = this.#position;
      }
      onProgress(`filling the page cache: ${(free / 1e9).toFixed(1)} GB of memory are free`);
    }
    return done();
  }

  /** Ends a `fill` that is under way, and those that follow. */
  stop(): void {
    this.#closed = true;
  }

  /** Removes the file, once no `fill` is under way any more. */
  async close(): Promise<void> {
    this.stop();
    await this.#file?.close();
    rmSync(this.#path, { force: true });
  }
}

/** For the reader of the results. */
export function formatFilling({ filledBytes, freeBytes, ms, reason }: PageCacheFilling): string {
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
  const what =
    filledBytes === 0
      ? "page cache not filled"
      : `${gigabytes(filledBytes)} of free memory filled with page cache in ${(ms / 1000).toFixed(0)} s`;
  const left = `${gigabytes(freeBytes)} free`;
  switch (reason) {
    case undefined:
      return `${what}, ${left}`;
    case "time":
      return `${what}; time was up with ${left}: what is written may be measured at the speed of a hypervisor`;
    case "futile":
      return `${what}; what is read does not stay there (a container's memory limit?), ${left}`;
    default:
      return `${what}: ${reason}, ${left}`;
  }
}

/** MemFree, but no more than may be taken without anybody missing it. */
function freeMemoryBytes(): number | undefined {
  try {
    const text = readFileSync("/proc/meminfo", "latin1");
    const field = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0) * 1024;
    return Math.min(field("MemFree"), field("MemAvailable"));
  } catch {
    return undefined;
  }
}

function isInMemory(path: string): boolean {
  return statfsSync(join(path, "..")).type === TMPFS_MAGIC;
}
