import { ENTRY_CHECK } from "../entry/entry-check.ts";
import { SEGMENT_HEADER_BYTES } from "../segment/segment-layout.ts";
import { SegmentWindow } from "../segment/segment-window.ts";
import { errorCodeOf, readFully, type Storage, writeFully } from "../storage/storage.ts";
import { walkEntries } from "./damage-walk.ts";
import type { RepairStep } from "./finding.ts";
import { IndexBuilder } from "./index-builder.ts";
import { rebuildSettled } from "./rebuild-settled.ts";
import { WINDOW_BYTES } from "./verify-limits.ts";

/** Ends in .tmp, so that a start removes what a crash leaves of it. */
const TEMPORARY = ".repair.tmp";

/** Where originals are kept. */
export interface AsideFolder {
  /** Made when it is needed. */
  readonly path: string;
}

/**
 * Runs one step of a repair. A crash at any moment leaves the file as it was, or as it is to be; what is replaced or taken away
 * is in the other folder before it is gone from this one. Safe to run again.
 *
 * @throws what the storage throws
 */
export function runRepairStep(storage: Storage, step: RepairStep, aside: AsideFolder): void {
  const { path } = step;
  switch (step.kind) {
    case "rewrite":
      replace(storage, path, aside, (fd) => {
        copyFile(storage, path, fd, step.size);
        for (const { at, bytes } of step.patches) writeFully(storage, fd, bytes, 0, bytes.length, at);
      });
      break;
    case "write":
      replace(storage, path, aside, (fd) => writeFully(storage, fd, step.bytes, 0, step.bytes.length, 0));
      break;
    case "index-segment":
      replace(storage, path, aside, (fd) => {
        const bytes = indexSegment(storage, step);
        writeFully(storage, fd, bytes, 0, bytes.length, 0);
      });
      break;
    case "rebuild-settled":
      replace(storage, path, aside, (fd) => rebuildSettled(storage, step, fd));
      break;
    case "aside":
      if (!storage.exists(path)) return;
      keep(storage, path, aside);
      storage.unlink(path);
      storage.syncDirectory(folderOf(path));
      break;
    case "remove":
      if (!storage.exists(path)) return;
      storage.unlink(path);
      storage.syncDirectory(folderOf(path));
  }
}

/** Puts another file under the name, made by `fill`, and keeps the one that was there. */
function replace(storage: Storage, path: string, aside: AsideFolder, fill: (fd: number) => void): void {
  const temporary = `${path}${TEMPORARY}`;
  const fd = storage.open(temporary, "create");
  try {
    fill(fd);
    storage.sync(fd);
  } finally {
    storage.close(fd);
  }
  if (storage.exists(path)) keep(storage, path, aside);
  storage.rename(temporary, path);
  storage.syncDirectory(folderOf(path));
}

/** Gives the file a name in the other folder too, or copies it where that cannot be. Durable when it returns. */
function keep(storage: Storage, path: string, aside: AsideFolder): void {
  makeFolder(storage, aside.path);
  const name = path.slice(folderOf(path).length + 1);
  let target = `${aside.path}/${name}`;
  for (let number = 2; storage.exists(target); number++) target = `${aside.path}/${name}.${number}`;
  try {
    storage.link(path, target);
  } catch (error) {
    if (errorCodeOf(error) === undefined) throw error;
    const fd = storage.open(target, "create");
    try {
      copyFile(storage, path, fd, undefined);
      storage.sync(fd);
    } finally {
      storage.close(fd);
    }
  }
  storage.syncDirectory(aside.path);
}

function makeFolder(storage: Storage, path: string): void {
  if (storage.exists(path)) return;
  const parent = folderOf(path);
  if (parent !== "") makeFolder(storage, parent);
  storage.mkdir(path);
  if (parent !== "") storage.syncDirectory(parent);
}

/** Copies a file, or its first `size` bytes; what it lacks of them becomes zeros. */
function copyFile(storage: Storage, path: string, target: number, size: number | undefined): void {
  const source = storage.open(path, "read");
  try {
    const end = Math.min(storage.size(source), size ?? Number.POSITIVE_INFINITY);
    const bytes = new Uint8Array(Math.min(WINDOW_BYTES, end));
    for (let at = 0; at < end; ) {
      const length = readFully(storage, source, bytes, 0, Math.min(bytes.length, end - at), at);
      if (length === 0) break;
      writeFully(storage, target, bytes, 0, length, at);
      at += length;
    }
    if (size !== undefined && size > end) storage.truncate(target, size);
  } finally {
    storage.close(source);
  }
}

function indexSegment(storage: Storage, step: Extract<RepairStep, { kind: "index-segment" }>): Uint8Array {
  const { segmentPath, shardId, basePosition, epoch, endPosition, seed } = step;
  const builder = new IndexBuilder();
  const fd = storage.open(segmentPath, "read");
  try {
    const window = new SegmentWindow(storage, WINDOW_BYTES);
    window.attach(fd);
    walkEntries(
      window,
      {
        path: segmentPath,
        from: SEGMENT_HEADER_BYTES,
        limit: endPosition - basePosition,
        seed,
        epoch,
        firstSequence: undefined,
        isConsecutive: false,
        check: ENTRY_CHECK,
      },
      { entry: (words, _, index, at) => builder.add(words, index >> 2, at), hole: () => {} },
    );
  } finally {
    storage.close(fd);
  }
  return builder.encode({ shardId, epoch, basePosition, endPosition });
}

function folderOf(path: string): string {
  const at = path.search(/[/\\][^/\\]*$/);
  return at < 0 ? "" : path.slice(0, at);
}
