import { MillraceError } from "@millrace/protocol";
import { ENTRY_CHECK } from "../entry/entry-check.ts";
import {
  alignEntry,
  ENTRY_HEADER_BYTES,
  ENTRY_LENGTH_WORD,
  ENTRY_VERSION,
  ENTRY_VERSION_WORD,
} from "../entry/entry-layout.ts";
import type { SegmentWindow } from "../segment/segment-window.ts";
import { damagedEntry, type EntrySource } from "./entry-source.ts";

/**
 * Told of an entry, whose header stands at `index` of the window's memory until the window is moved.
 * @param offset in the source's file. @param size with the alignment behind the entry.
 * @returns false to stop
 */
export type EntryVisitor = (index: number, offset: number, size: number) => boolean;

/**
 * Visits the entries of a source in turn and checks their headers. Only the header is sure to be in the window.
 * @returns false when the visitor stopped
 * @throws MillraceError JOURNAL_DAMAGED, DATA_FORMAT_NEWER
 */
export function walkEntries(window: SegmentWindow, source: EntrySource, visit: EntryVisitor): boolean {
  const { seed, endAt } = source;
  window.attach(source.fd);
  for (let offset = source.firstAt; offset < endAt; ) {
    const index = window.load(offset, ENTRY_HEADER_BYTES, endAt);
    if (index < 0) throw damagedEntry(source, offset);
    const word = index >> 2;
    if (!ENTRY_CHECK.header(window.words, word, seed)) throw damagedEntry(source, offset);
    const version = (window.words[word + ENTRY_VERSION_WORD] as number) & 0xff;
    if (version !== ENTRY_VERSION) throw newerEntry(source, offset, version);
    const size = alignEntry(window.words[word + ENTRY_LENGTH_WORD] as number);
    if (offset + size > endAt) throw damagedEntry(source, offset);
    if (!visit(index, offset, size)) return false;
    offset += size;
  }
  return true;
}

/** Brings the whole entry into the window and checks its payload. @throws MillraceError JOURNAL_DAMAGED */
export function checkPayload(window: SegmentWindow, source: EntrySource, offset: number): void {
  const headerIndex = window.load(offset, ENTRY_HEADER_BYTES, source.endAt);
  const length = window.words[(headerIndex >> 2) + ENTRY_LENGTH_WORD] as number;
  const index = window.load(offset, length, source.endAt);
  if (index < 0 || !ENTRY_CHECK.payload(window.bytes, window.words, index))
    throw damagedEntry(source, offset);
}

function newerEntry({ path, basePosition }: EntrySource, offset: number, version: number): MillraceError {
  const position = basePosition + offset;
  return new MillraceError(
    "DATA_FORMAT_NEWER",
    `journal entry has format ${version}: ${path} position ${position}`,
    { details: { file: path, position, version, versionMax: ENTRY_VERSION } },
  );
}
