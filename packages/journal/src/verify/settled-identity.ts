import { MillraceError } from "@millrace/protocol";
import { ENTRY_CHECK } from "../entry/entry-check.ts";
import { ENTRY_EPOCH_WORD, ENTRY_HEADER_BYTES, readU32 } from "../entry/entry-layout.ts";
import {
  decodeSegmentHeader,
  encodeSegmentHeader,
  SEGMENT_FORMAT_VERSION,
  segmentSeed,
} from "../segment/segment-layout.ts";
import type { SegmentWindow } from "../segment/segment-window.ts";
import {
  decodeSettledHeader,
  encodeSettledHeader,
  SETTLED_FORMAT_VERSION,
  SETTLED_HEADER_BYTES,
  type SettledName,
  settledSeed,
} from "../settled/settled-layout.ts";

/** What a settled file is, whether or not its first bytes still say so. */
export interface SettledIdentity {
  readonly adopted: boolean;
  readonly headerIsGood: boolean;
  /** Of the entries' checksums. */
  readonly seed: number;
  /** Of the segment that was adopted; undefined for a file that was not, whose entries are of several epochs. */
  readonly segmentEpoch: number | undefined;
  /** From the header, where that is good and states it. */
  readonly endPosition: number | undefined;
}

/**
 * Finds out from the header or, when that is damaged, from the first entry: one of two seeds fits it.
 * @returns undefined when neither does.
 * @throws MillraceError DATA_FORMAT_NEWER
 */
export function identifySettled(
  window: SegmentWindow,
  path: string,
  name: SettledName,
  shardId: number,
  journalId: number,
): SettledIdentity | undefined {
  const index = window.load(0, SETTLED_HEADER_BYTES);
  if (index >= 0) {
    const bytes = window.bytes.subarray(index, index + SETTLED_HEADER_BYTES);
    const found = fromHeader(bytes, path, name, shardId, journalId);
    if (found !== undefined) return found;
  }
  return fromEntry(window, name, journalId);
}

/** The header that the file must have. */
export function settledHeaderOf(
  identity: SettledIdentity,
  name: SettledName,
  shardId: number,
  endPosition: number,
): Uint8Array {
  const { adopted, seed, segmentEpoch } = identity;
  const { basePosition } = name;
  if (!adopted) return encodeSettledHeader({ ...name, seed, shardId, endPosition });
  // What was settled had been durable, and so had everything before it.
  const epoch = segmentEpoch as number;
  return encodeSegmentHeader({ seed, shardId, epoch, basePosition, syncedPosition: basePosition });
}

function fromHeader(
  bytes: Uint8Array,
  path: string,
  name: SettledName,
  shardId: number,
  journalId: number,
): SettledIdentity | undefined {
  const settled = decodeSettledHeader(bytes);
  if (settled !== undefined) {
    requireVersion(path, settled.version, SETTLED_FORMAT_VERSION);
    const seed = settledSeed(journalId, name);
    const fits =
      settled.seed === seed &&
      settled.shardId === shardId &&
      settled.basePosition === name.basePosition &&
      settled.epoch === name.epoch &&
      settled.part === name.part;
    if (!fits) return undefined;
    const { endPosition } = settled;
    return { adopted: false, headerIsGood: true, seed, segmentEpoch: undefined, endPosition };
  }
  const segment = decodeSegmentHeader(bytes);
  if (segment === undefined) return undefined;
  requireVersion(path, segment.version, SEGMENT_FORMAT_VERSION);
  const seed = segmentSeed(journalId, name.basePosition, segment.epoch);
  if (segment.seed !== seed || segment.shardId !== shardId || segment.basePosition !== name.basePosition) {
    return undefined;
  }
  return { adopted: true, headerIsGood: true, seed, segmentEpoch: segment.epoch, endPosition: undefined };
}

function fromEntry(window: SegmentWindow, name: SettledName, journalId: number): SettledIdentity | undefined {
  const index = window.load(SETTLED_HEADER_BYTES, ENTRY_HEADER_BYTES);
  if (index < 0) return undefined;
  const { words } = window;
  const word = index >> 2;
  const unknown = { headerIsGood: false, endPosition: undefined };
  const seed = settledSeed(journalId, name);
  if (ENTRY_CHECK.header(words, word, seed))
    return { ...unknown, adopted: false, seed, segmentEpoch: undefined };
  const segmentEpoch = readU32(words, word + ENTRY_EPOCH_WORD);
  const adoptedSeed = segmentSeed(journalId, name.basePosition, segmentEpoch);
  if (!ENTRY_CHECK.header(words, word, adoptedSeed)) return undefined;
  return { ...unknown, adopted: true, seed: adoptedSeed, segmentEpoch };
}

function requireVersion(path: string, version: number, versionMax: number): void {
  if (version <= versionMax) return;
  throw new MillraceError("DATA_FORMAT_NEWER", `file has format ${version}: ${path}`, {
    details: { file: path, version, versionMax },
  });
}
