import {
  closeSync,
  constants,
  existsSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  unlinkSync,
  writeSync,
  writevSync,
} from "node:fs";
import type { OpenMode, Storage } from "./storage.ts";

const FLAGS: Readonly<Record<OpenMode, string | number | undefined>> = {
  read: "r",
  readWrite: "r+",
  create: "w+",
  // Linux only.
  readDirect: constants.O_DIRECT === undefined ? undefined : constants.O_RDONLY | constants.O_DIRECT,
};

/** The file system of the machine, through the synchronous calls of node:fs: on their own threads they are fastest. */
export class RealStorage implements Storage {
  open(path: string, mode: OpenMode): number {
    const flags = FLAGS[mode];
    if (flags === undefined) {
      throw Object.assign(new Error(`ENOTSUP: no reads past the page cache: open ${path}`), {
        code: "ENOTSUP",
      });
    }
    return openSync(path, flags);
  }

  close(fd: number): void {
    closeSync(fd);
  }

  size(fd: number): number {
    return fstatSync(fd).size;
  }

  read(fd: number, target: Uint8Array, targetStart: number, length: number, position: number): number {
    return readSync(fd, target, targetStart, length, position);
  }

  write(fd: number, source: Uint8Array, sourceStart: number, length: number, position: number): number {
    return writeSync(fd, source, sourceStart, length, position);
  }

  writev(fd: number, sources: Uint8Array[], position: number): number {
    return writevSync(fd, sources, position);
  }

  sync(fd: number): void {
    fdatasyncSync(fd);
  }

  syncDirectory(path: string): void {
    // Windows has no handle to sync a folder by, and makes names durable with the file itself.
    if (process.platform === "win32") return;
    const fd = openSync(path, "r");
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }

  truncate(fd: number, size: number): void {
    ftruncateSync(fd, size);
  }

  rename(from: string, to: string): void {
    renameSync(from, to);
  }

  unlink(path: string): void {
    unlinkSync(path);
  }

  link(from: string, to: string): void {
    linkSync(from, to);
  }

  mkdir(path: string): void {
    mkdirSync(path, { recursive: true });
  }

  list(path: string): string[] {
    return readdirSync(path);
  }

  exists(path: string): boolean {
    return existsSync(path);
  }
}
