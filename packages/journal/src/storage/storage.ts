/**
 * How a file is opened: to read; to read and write what exists; to make it new (or empty) and read and write it; to read
 * past the page cache, where a read fails with EINVAL unless file offset, length and memory address suit the disk.
 */
export type OpenMode = "read" | "readWrite" | "create" | "readDirect";

/**
 * Everything the journal asks of a file system, synchronous. A failed call throws an error whose `code` is the
 * errno's name (`ENOSPC`, `EIO`, …) as node:fs does. Numbers are bytes. Instances keep to one thread; file
 * descriptors may be used by several threads of the process.
 */
export interface Storage {
  open(path: string, mode: OpenMode): number;
  close(fd: number): void;
  size(fd: number): number;
  /** @returns the bytes read: fewer than `length` at the file's end, and possibly before. */
  read(fd: number, target: Uint8Array, targetStart: number, length: number, position: number): number;
  /** @returns the bytes written, possibly fewer than `length`. */
  write(fd: number, source: Uint8Array, sourceStart: number, length: number, position: number): number;
  /** Writes the sources one after another. @returns the bytes written, possibly fewer than all. */
  writev(fd: number, sources: Uint8Array[], position: number): number;
  /** Makes data and size durable (fdatasync), but not the file's name. */
  sync(fd: number): void;
  /** Makes names durable: what was created, renamed or removed in the folder. */
  syncDirectory(path: string): void;
  truncate(fd: number, size: number): void;
  rename(from: string, to: string): void;
  unlink(path: string): void;
  /** Gives a file a second name. Throws EEXIST when that name is taken. */
  link(from: string, to: string): void;
  /** Makes the folder and its missing parents. */
  mkdir(path: string): void;
  /** Names (not paths) in a folder, in no order. */
  list(path: string): string[];
  exists(path: string): boolean;
}

/** The errno's name of an error of a Storage, or undefined. */
export function errorCodeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** True when the error says that there is no room: worth another try later, unlike every other error of a write. */
export function isDiskFull(error: unknown): boolean {
  const code = errorCodeOf(error);
  return code === "ENOSPC" || code === "EDQUOT";
}

/**
 * True when a file could not be opened because the process or machine has too many open, which connections of clients can
 * cause. Says nothing about the disk, and is worth another try.
 */
export function isOutOfFiles(error: unknown): boolean {
  const code = errorCodeOf(error);
  return code === "EMFILE" || code === "ENFILE";
}

/** Writes all of a region, continuing after short writes. @throws what the storage throws */
export function writeFully(
  storage: Storage,
  fd: number,
  source: Uint8Array,
  sourceStart: number,
  length: number,
  position: number,
): void {
  let done = 0;
  while (done < length) {
    const written = storage.write(fd, source, sourceStart + done, length - done, position + done);
    checkProgress(written, length - done);
    done += written;
  }
}

/**
 * Reads until `length` bytes or the file's end.
 * @returns the bytes read, fewer than `length` only at the file's end.
 */
export function readFully(
  storage: Storage,
  fd: number,
  target: Uint8Array,
  targetStart: number,
  length: number,
  position: number,
): number {
  let done = 0;
  while (done < length) {
    const read = storage.read(fd, target, targetStart + done, length - done, position + done);
    if (read === 0) break;
    done += read;
  }
  return done;
}

/** All bytes of a file, or undefined when it does not exist. */
export function readFile(storage: Storage, path: string): Uint8Array | undefined {
  let fd: number;
  try {
    fd = storage.open(path, "read");
  } catch (error) {
    if (errorCodeOf(error) === "ENOENT") return undefined;
    throw error;
  }
  try {
    const bytes = new Uint8Array(storage.size(fd));
    const read = readFully(storage, fd, bytes, 0, bytes.length, 0);
    return read === bytes.length ? bytes : bytes.slice(0, read);
  } finally {
    storage.close(fd);
  }
}

const ZEROS_BYTES = 1024 * 1024;
let zeros: Uint8Array | undefined;

/** Writes zeros from one file offset up to another. @throws what the storage throws */
export function writeZeros(storage: Storage, fd: number, from: number, end: number): void {
  zeros ??= new Uint8Array(ZEROS_BYTES);
  for (let position = from; position < end; position += ZEROS_BYTES) {
    writeFully(storage, fd, zeros, 0, Math.min(ZEROS_BYTES, end - position), position);
  }
}

/** Closes and removes a file that could not be finished. */
export function discardFile(storage: Storage, fd: number, path: string): void {
  try {
    storage.close(fd);
  } catch {
    // The error that led here is the one to report.
  }
  removeQuietly(storage, path);
}

/** Removes a file that was not finished, if it can: what is left over is removed when the shard is opened next. */
export function removeQuietly(storage: Storage, path: string): void {
  try {
    if (storage.exists(path)) storage.unlink(path);
  } catch {
    // The error that led here is the one to report.
  }
}

/** A write that makes no progress would be tried for ever. */
function checkProgress(written: number, wanted: number): void {
  if (written > 0 && written <= wanted) return;
  throw new Error(`write made no progress: written=${written} wanted=${wanted}`);
}
