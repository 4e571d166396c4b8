import { readFully, type Storage } from "../storage/storage.ts";

/** What a file of a data folder is, by its first bytes. A segment that was adopted counts as a segment here. */
export type FileKind =
  | "segment"
  | "settled"
  | "index"
  | "checkpoint"
  | "manifest"
  | "fence"
  | "zeros"
  | "empty"
  | "text"
  | "unknown";

const MAGICS: Readonly<Record<string, FileKind>> = {
  MRSEGMT1: "segment",
  MRSETTL1: "settled",
  MRINDEX1: "index",
  MRCHKPT1: "checkpoint",
  MRMANIF1: "manifest",
  MRFENCE1: "fence",
};
const MAGIC_BYTES = 8;
const LOOKED_AT_BYTES = 4_096;

/** Recognises a file. @throws what the storage throws */
export function fileKindOf(storage: Storage, fd: number): FileKind {
  const bytes = Buffer.alloc(LOOKED_AT_BYTES);
  const length = readFully(storage, fd, bytes, 0, bytes.length, 0);
  if (length === 0) return "empty";
  const head = bytes.subarray(0, length);
  const kind = MAGICS[head.toString("latin1", 0, MAGIC_BYTES)];
  if (kind !== undefined) return kind;
  if (head.every((byte) => byte === 0)) return "zeros";
  return head.every(
    (byte) => byte === 0x0a || byte === 0x09 || byte === 0x0d || (byte >= 0x20 && byte < 0x7f),
  )
    ? "text"
    : "unknown";
}
