import type { EntryCheck } from "../entry/entry-check.ts";
import {
  alignEntry,
  ENTRY_EPOCH_WORD,
  ENTRY_HEADER_BYTES,
  ENTRY_LENGTH_WORD,
  ENTRY_SEQUENCE_WORD,
  readU32,
  readU64,
} from "../entry/entry-layout.ts";
import type { SegmentWindow } from "../segment/segment-window.ts";

/** What is known of a damaged entry without its header. */
export interface DamagedEntry {
  /** From the file's start. */
  readonly at: number;
  /** Where the next good entry stands, or where the file's entries end at most. */
  readonly end: number;
  /** A good entry stands at `end`, so the damaged one must end there. */
  readonly endIsExact: boolean;
  readonly seed: number;
  readonly epoch: number | undefined;
  readonly sequence: number | undefined;
}

/**
 * The header as it was, when one of its bytes alone has changed: of 22,440 candidates the one that has the header's checksum,
 * the epoch, sequence and length that the place asks for, and the payload's checksum as well. That all of it fits by chance is
 * less likely than 2^-48, so nothing is guessed here.
 *
 * @returns the header's bytes, or undefined when more is wrong with it.
 */
export function correctHeader(
  window: SegmentWindow,
  check: EntryCheck,
  entry: DamagedEntry,
): Uint8Array | undefined {
  const index = window.load(entry.at, ENTRY_HEADER_BYTES);
  if (index < 0) return undefined;
  const words = new Int32Array(ENTRY_HEADER_BYTES / 4);
  const header = new Uint8Array(words.buffer);
  header.set(window.bytes.subarray(index, index + ENTRY_HEADER_BYTES));
  for (let at = 0; at < ENTRY_HEADER_BYTES; at++) {
    const found = header[at] as number;
    for (let change = 1; change < 256; change++) {
      header[at] = found ^ change;
      if (
        check.header(words, 0, entry.seed) &&
        fits(words, entry) &&
        hasPayload(window, check, header, entry.at)
      )
        return header;
    }
    header[at] = found;
  }
  return undefined;
}

function fits(words: Int32Array, { at, end, endIsExact, epoch, sequence }: DamagedEntry): boolean {
  const entryEnd = at + alignEntry(words[ENTRY_LENGTH_WORD] as number);
  if (endIsExact ? entryEnd !== end : entryEnd > end) return false;
  if (epoch !== undefined && readU32(words, ENTRY_EPOCH_WORD) !== epoch) return false;
  return sequence === undefined || readU64(words, ENTRY_SEQUENCE_WORD) === sequence;
}

function hasPayload(window: SegmentWindow, check: EntryCheck, header: Uint8Array, at: number): boolean {
  const length = new Int32Array(header.buffer)[ENTRY_LENGTH_WORD] as number;
  const index = window.load(at, length);
  if (index < 0) return false;
  const bytes = Buffer.from(new ArrayBuffer(alignEntry(length)));
  bytes.set(window.bytes.subarray(index, index + length));
  bytes.set(header);
  return check.payload(bytes, new Int32Array(bytes.buffer), 0);
}
