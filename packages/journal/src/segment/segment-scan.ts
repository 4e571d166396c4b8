import { MillraceError } from "@millrace/protocol";
import type { EntryCheck } from "../entry/entry-check.ts";
import { isEntryLength } from "../entry/entry-check.ts";
import {
  alignEntry,
  ENTRY_ALIGNMENT,
  ENTRY_EPOCH_WORD,
  ENTRY_HEADER_BYTES,
  ENTRY_LENGTH_WORD,
  ENTRY_SEQUENCE_WORD,
  ENTRY_SYNCED_POSITION_WORD,
  ENTRY_VERSION,
  ENTRY_VERSION_WORD,
  readU64,
} from "../entry/entry-layout.ts";
import type { SegmentWindow } from "./segment-window.ts";

/** What is wrong with the entry at which a scan stopped. The first two are how an intact segment ends. */
export type BadEntry =
  | "end of file"
  | "zero length"
  | "length"
  | "header checksum"
  | "epoch"
  | "sequence"
  | "payload checksum";

/** A segment as a scan needs it. */
export interface ScannedSegment {
  readonly path: string;
  readonly basePosition: number;
  readonly epoch: number;
  readonly seed: number;
}

/** Where a scan stopped. */
export interface ScanEnd {
  /** Behind the last good entry. */
  readonly position: number;
  /** Of the next entry. */
  readonly sequence: number;
  /** Undefined: the limit was reached exactly. */
  readonly bad: BadEntry | undefined;
}

/** Called for each good entry, which stands at `index` of the window's memory until the call returns. */
export type ScanHandler = (words: Int32Array, bytes: Buffer, index: number, position: number) => void;

/**
 * Reads entry after entry from `from` until one is bad or `limit` is reached.
 * @throws MillraceError DATA_FORMAT_NEWER for an intact entry of a later format
 */
export function scanEntries(
  window: SegmentWindow,
  segment: ScannedSegment,
  check: EntryCheck,
  from: number,
  limit: number,
  firstSequence: number,
  handler: ScanHandler,
): ScanEnd {
  const { basePosition, epoch, seed } = segment;
  let position = from;
  let sequence = firstSequence;
  const end = (bad: BadEntry | undefined): ScanEnd => ({ position, sequence, bad });
  while (position < limit) {
    const offset = position - basePosition;
    let index = window.load(offset, ENTRY_HEADER_BYTES);
    if (index < 0) return end(isZeroUpToEnd(window, offset) ? "end of file" : "length");
    const wordIndex = index >> 2;
    const length = window.words[wordIndex + ENTRY_LENGTH_WORD] as number;
    if (length === 0) return end("zero length");
    if (!isEntryLength(length) || position + alignEntry(length) > limit) return end("length");
    if (!check.header(window.words, wordIndex, seed)) return end("header checksum");
    if (window.words[wordIndex + ENTRY_EPOCH_WORD] !== (epoch | 0)) return end("epoch");
    if (readU64(window.words, wordIndex + ENTRY_SEQUENCE_WORD) !== sequence) return end("sequence");
    const version = (window.words[wordIndex + ENTRY_VERSION_WORD] as number) & 0xff;
    if (version !== ENTRY_VERSION) refuseVersion(segment, position, version);
    index = window.load(offset, length);
    if (index < 0) return end("length");
    if (!check.payload(window.bytes, window.words, index)) return end("payload checksum");
    handler(window.words, window.bytes, index, position);
    position += alignEntry(length);
    sequence++;
  }
  return end(undefined);
}

/**
 * Looks behind a bad entry at `badPosition` for an entry of the segment that was written when more than the bad one's
 * position was durable already. Its bytes can be anywhere, since the bad entry's length means nothing.
 */
export function findSyncedBeyond(
  window: SegmentWindow,
  segment: ScannedSegment,
  check: EntryCheck,
  badPosition: number,
  fromPosition: number,
): boolean {
  const { basePosition, epoch, seed } = segment;
  let offset = fromPosition - basePosition;
  for (;;) {
    const start = window.load(offset, ENTRY_HEADER_BYTES);
    if (start < 0) return false;
    const words = window.words;
    const bytesToLook = window.available(start) - ENTRY_HEADER_BYTES;
    const last = (start + bytesToLook) >> 2;
    for (let wordIndex = start >> 2; wordIndex <= last; wordIndex += ENTRY_ALIGNMENT / 4) {
      const length = words[wordIndex] as number;
      if (length < ENTRY_HEADER_BYTES || words[wordIndex + ENTRY_EPOCH_WORD] !== (epoch | 0)) continue;
      if (!check.header(words, wordIndex, seed)) continue;
      if (readU64(words, wordIndex + ENTRY_SYNCED_POSITION_WORD) > badPosition) return true;
    }
    offset += (bytesToLook & -ENTRY_ALIGNMENT) + ENTRY_ALIGNMENT;
  }
}

/** The file ends with fewer bytes than a header: an intact segment has nothing there, or zeros. */
function isZeroUpToEnd(window: SegmentWindow, offset: number): boolean {
  for (let at = offset; ; at++) {
    const index = window.load(at, 1);
    if (index < 0) return true;
    if (window.bytes[index] !== 0) return false;
  }
}

function refuseVersion(segment: ScannedSegment, position: number, version: number): never {
  throw new MillraceError(
    "DATA_FORMAT_NEWER",
    `journal entry has format ${version}: ${segment.path} position ${position}`,
    { details: { file: segment.path, position, version, versionMax: ENTRY_VERSION } },
  );
}
