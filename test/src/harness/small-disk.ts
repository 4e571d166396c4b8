import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Test } from "tap";
import { temporaryFolder } from "./temporary-folder.ts";

const CHUNK_BYTES = 65_536;

/** A small file system of its own, in memory. */
export class SmallDisk {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Undefined, with a comment, where none can be mounted. */
  static mount(t: Test, bytes: number): SmallDisk | undefined {
    const path = join(temporaryFolder(t), "disk");
    mkdirSync(path);
    const mount = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", path], {
      encoding: "utf8",
    });
    if (mount.status !== 0) {
      t.comment(`skipped: no small disk can be mounted here: ${mount.error?.message ?? mount.stderr.trim()}`);
      return undefined;
    }
    t.teardown(() => spawnSync("umount", ["--lazy", path]));
    return new SmallDisk(path);
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.path);
    return bavail * bsize;
  }

  /** Takes `bytes`, or all that is left. @returns bytes taken */
  fill(bytes: number = Number.POSITIVE_INFINITY): number {
    return this.#fill(this.fillerPath, bytes);
  }

  /** Takes all that is left, beside what was taken before. */
  fillRest(): void {
    this.#fill(this.restPath, Number.POSITIVE_INFINITY);
  }

  #fill(path: string, bytes: number): number {
    const fd = openSync(path, "w");
    const chunk = Buffer.alloc(CHUNK_BYTES, 1);
    let taken = 0;
    try {
      while (taken < bytes) taken += writeSync(fd, chunk, 0, Math.min(chunk.length, bytes - taken));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
    } finally {
      closeSync(fd);
    }
    return taken;
  }

  /** Gives back what `fill` and `fillRest` took. */
  free(): void {
    rmSync(this.fillerPath, { force: true });
    rmSync(this.restPath, { force: true });
  }

  private get restPath(): string {
    return join(this.path, "filler-rest");
  }

  private get fillerPath(): string {
    return join(this.path, "filler");
  }
}
