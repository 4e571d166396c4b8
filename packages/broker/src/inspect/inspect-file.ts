import { basename, dirname } from "node:path";
import { RealStorage } from "@millrace/journal";
import {
  decodeCheckpoint,
  decodeFence,
  decodeManifest,
  ENTRY_TYPE_BATCH,
  ENTRY_TYPE_STATE,
  type EntryFacts,
  type FileKind,
  fileKindOf,
  listEntries,
  listIndex,
  readFile,
  settledFileName,
} from "@millrace/journal/internal";
import { BatchReader, type IncomingRecord, MillraceError } from "@millrace/protocol";
import { checkpointState, stateChanges } from "./state-content.ts";

export interface InspectOptions {
  /** Also the records of each batch. */
  readonly records: boolean;
  /** Entries, or rows of other files, at most; the header does not count, nor what belongs to an entry. */
  readonly limit: number;
}

/** One line of what a file holds. */
export interface InspectedItem {
  readonly kind: string;
  /** Byte of the file. */
  readonly position: number;
  readonly fields: Readonly<Record<string, unknown>>;
  /** With kind `record`. */
  readonly record?: { readonly partition: number; readonly offset: number; readonly record: IncomingRecord };
}

const storage = new RealStorage();
/** What belongs to the line before. */
const PARTS = new Set(["record", "change", "damage", "header", "trailer"]);
const TEXT_BYTES_MAX = 4_096;

/**
 * What a file of a data folder holds, line by line; recognised by its first bytes. Reads only, holds no lock, never throws for
 * what is in the file: damage is an item, too.
 * @throws what the file system throws
 */
export function* inspectFile(path: string, options: InspectOptions): Generator<InspectedItem> {
  let left = options.limit;
  for (const item of itemsOf(path, options)) {
    if (!PARTS.has(item.kind)) left -= 1;
    if (left < 0) return;
    yield item;
  }
}

function* itemsOf(path: string, { records }: InspectOptions): Generator<InspectedItem> {
  const fd = storage.open(path, "read");
  try {
    const size = storage.size(fd);
    const kind = kindOf(fileKindOf(storage, fd), path);
    if (kind === "segment" || kind === "settled") yield* entriesOf(fd, path, size, records);
    else if (kind === "index") yield* listIndexItems(fd, 0, size);
    else if (kind === "checkpoint") yield* checkpointItems(path);
    else if (kind === "manifest") yield* manifestItems(path);
    else if (kind === "fence") yield* fenceItems(path, size);
    else if (kind === "text") yield* textItems(path, size);
    else yield item("header", 0, { file: kind, size });
  } finally {
    storage.close(fd);
  }
}

/** A file whose magic is damaged is what its name says. */
function kindOf(kind: FileKind, path: string): FileKind {
  if (kind !== "unknown" && kind !== "text") return kind;
  if (path.endsWith(".log")) return "segment";
  if (path.endsWith(".settled")) return "settled";
  if (path.endsWith(".idx")) return "index";
  if (path.endsWith(".ckpt")) return "checkpoint";
  if (/^manifest-\d{8}$/.test(basename(path))) return "manifest";
  return basename(path) === "fence" ? "fence" : kind;
}

function* entriesOf(fd: number, path: string, size: number, records: boolean): Generator<InspectedItem> {
  const reader = new BatchReader();
  for (const found of listEntries(storage, fd, dirname(path), basename(path))) {
    if (found.kind === "header") yield item("header", 0, found.fields);
    else if (found.kind === "damage") yield item("damage", found.position, { sentence: found.sentence });
    else if (found.kind === "trailer") {
      const { footerAt, footerLength } = found;
      yield item("trailer", footerAt + footerLength, { footerAt, footerLength });
      yield* listIndexItems(fd, footerAt, footerAt + footerLength);
    } else {
      const { position, facts, payload } = found;
      yield item("entry", position, { ...entryFields(facts), checksum: "ok" });
      if (facts.type === ENTRY_TYPE_STATE) {
        for (const { kind, fields } of stateChanges(payload)) yield item(kind, position, fields);
      } else if (records && facts.type === ENTRY_TYPE_BATCH)
        yield* recordsOf(reader, position, facts, payload);
    }
  }
  if (size === 0) yield item("damage", 0, { sentence: "the file is empty" });
}

function entryFields({ type, erased, ...facts }: EntryFacts): Record<string, unknown> {
  const name = type === ENTRY_TYPE_BATCH ? "batch" : type === ENTRY_TYPE_STATE ? "state" : `type ${type}`;
  return erased ? { type: name, ...facts, erased } : { type: name, ...facts };
}

function* recordsOf(
  reader: BatchReader,
  position: number,
  { partition, baseOffset }: EntryFacts,
  payload: Uint8Array,
): Generator<InspectedItem> {
  try {
    reader.reset(payload, 0, payload.length);
    for (let i = 0; i < reader.count; i += 1) {
      const offset = baseOffset + i;
      yield { ...item("record", position, {}), record: { partition, offset, record: reader.recordAt(i) } };
    }
  } catch (error) {
    yield item("damage", position, { sentence: `the batch cannot be read: ${(error as Error).message}` });
  }
}

function* listIndexItems(fd: number, at: number, endAt: number): Generator<InspectedItem> {
  for (const found of listIndex(storage, fd, at, endAt)) {
    if (found.kind === "damage") yield item("damage", found.position, { sentence: found.sentence });
    else yield item(found.kind, found.position, found.fields);
  }
}

function* checkpointItems(path: string): Generator<InspectedItem> {
  const bytes = readFile(storage, path) ?? new Uint8Array(0);
  const checkpoint = decodeCheckpoint(bytes);
  if (checkpoint === undefined) {
    yield item("damage", 0, { sentence: "the checkpoint is damaged, or was cut off" });
    return;
  }
  const { version, shardId, epoch, clean, position, sequence, state, segments } = checkpoint;
  const stateLength = state.length;
  yield item("header", 0, {
    file: "checkpoint",
    size: bytes.length,
    ...{ version, shardId, epoch, clean, position, sequence, stateLength },
  });
  for (const segment of segments) yield item("segment", 0, { ...segment });
  const stateAt = bytes.length - state.length - 4;
  for (const { kind, fields } of checkpointState(state)) yield item(kind, stateAt, fields);
}

function* manifestItems(path: string): Generator<InspectedItem> {
  const bytes = readFile(storage, path) ?? new Uint8Array(0);
  const manifest = decodeManifest(bytes);
  if (manifest === undefined) {
    yield item("damage", 0, { sentence: "the manifest is damaged, or was cut off" });
    return;
  }
  const { files, partitions, ...fields } = manifest;
  yield item("header", 0, { file: "manifest", size: bytes.length, ...fields });
  for (const file of files) yield item("settled-file", 0, { name: settledFileName(file), ...file });
  for (const partition of partitions) yield item("partition-bytes", 0, { ...partition });
}

function* fenceItems(path: string, size: number): Generator<InspectedItem> {
  // readFence takes a folder, and a copy may have another name.
  const bytes = readFile(storage, path) ?? new Uint8Array(0);
  try {
    yield item("header", 0, { file: "fence", size, ...decodeFence(bytes, path) });
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
    yield item("damage", 0, { sentence: error.message });
  }
}

/** `millrace.json`, `quarantined`, or anything else that people can read. */
function* textItems(path: string, size: number): Generator<InspectedItem> {
  const text = Buffer.from(readFile(storage, path) ?? []).toString("utf8", 0, TEXT_BYTES_MAX);
  const name = basename(path);
  yield item("header", 0, { file: name === "quarantined" ? "quarantine marker" : "text", size });
  let content: unknown = text.trimEnd();
  try {
    content = JSON.parse(text);
  } catch {
    // As it is.
  }
  yield item("content", 0, { content });
}

function item(kind: string, position: number, fields: Readonly<Record<string, unknown>>): InspectedItem {
  return { kind, position, fields };
}
