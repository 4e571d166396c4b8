import { ENTRY_CHECK } from "../entry/entry-check.ts";
import { ENTRY_HEADER_BYTES } from "../entry/entry-layout.ts";
import { decodeSidecarHeader, SIDECAR_HEADER_BYTES } from "../lookup/sidecar-layout.ts";
import { readFence } from "../ownership/fence.ts";
import {
  decodeSegmentHeader,
  parseSegmentFileName,
  SEGMENT_HEADER_BYTES,
  segmentSeed,
} from "../segment/segment-layout.ts";
import { SegmentWindow } from "../segment/segment-window.ts";
import {
  decodeSettledHeader,
  decodeSettledTrailer,
  parseSettledFileName,
  SETTLED_TRAILER_BYTES,
  settledSeed,
} from "../settled/settled-layout.ts";
import { readFully, type Storage } from "../storage/storage.ts";
import { DamageWalk, type Hole } from "../verify/damage-walk.ts";
import { type EntryFacts, entryFacts } from "../verify/entry-facts.ts";
import { describeHole } from "../verify/entry-repair.ts";
import { WINDOW_BYTES } from "../verify/verify-limits.ts";

/** Something that a file of entries holds, in order. Positions are the file's bytes. */
export type EntryItem =
  | { readonly kind: "header"; readonly fields: Readonly<Record<string, unknown>> }
  | {
      readonly kind: "entry";
      readonly position: number;
      readonly facts: EntryFacts;
      /** Valid until the next item is asked for. */
      readonly payload: Uint8Array;
    }
  | { readonly kind: "damage"; readonly position: number; readonly sentence: string }
  | { readonly kind: "trailer"; readonly footerAt: number; readonly footerLength: number };

const HEADER_BYTES = SEGMENT_HEADER_BYTES;

/**
 * Everything in a segment or a settled file, in bounded memory. It goes on behind damage, and where the header is damaged it
 * takes the file's name and the fence beside it instead.
 */
export function* listEntries(
  storage: Storage,
  fd: number,
  directory: string,
  name: string,
): Generator<EntryItem> {
  const size = storage.size(fd);
  const head = new Uint8Array(HEADER_BYTES);
  readFully(storage, fd, head, 0, head.length, 0);
  const settled = decodeSettledHeader(head);
  const segment = settled === undefined ? decodeSegmentHeader(head) : undefined;
  const trailer = trailerOf(storage, fd, size);
  if (settled !== undefined) yield { kind: "header", fields: { file: "settled", size, ...settled } };
  else if (segment !== undefined) {
    const file = trailer === undefined ? "segment" : "adopted segment";
    yield { kind: "header", fields: { file, size, ...segment } };
  } else yield { kind: "damage", position: 0, sentence: "the header is damaged" };
  const seed = settled?.seed ?? segment?.seed ?? seedByName(storage, directory, name);
  if (seed === undefined) {
    const sentence = "without the header, or a fence beside the file, no entry can be told from other bytes";
    yield { kind: "damage", position: HEADER_BYTES, sentence };
    return;
  }
  const limit = trailer?.footerAt ?? Number.POSITIVE_INFINITY;
  yield* entriesOf(storage, fd, `${directory}/${name}`, { seed, limit, size, hasEnd: trailer !== undefined });
  if (trailer !== undefined) yield { kind: "trailer", ...trailer };
}

function* entriesOf(
  storage: Storage,
  fd: number,
  path: string,
  file: { readonly seed: number; readonly limit: number; readonly size: number; readonly hasEnd: boolean },
): Generator<EntryItem> {
  const window = new SegmentWindow(storage, WINDOW_BYTES);
  window.attach(fd);
  let items: EntryItem[] = [];
  const walk = new DamageWalk(
    window,
    {
      path,
      from: HEADER_BYTES,
      limit: file.limit,
      seed: file.seed,
      epoch: undefined,
      firstSequence: undefined,
      isConsecutive: false,
      check: ENTRY_CHECK,
    },
    {
      entry: (words, bytes, index, position) => {
        const facts = entryFacts(words, index >> 2);
        const payload = bytes.subarray(index + ENTRY_HEADER_BYTES, index + facts.length);
        items.push({ kind: "entry", position, facts, payload });
      },
      hole: (hole) => {
        if (hole.isLast && hole.isZero) return;
        items.push({ kind: "damage", position: hole.start, sentence: sentenceOf(hole, file.size) });
      },
    },
  );
  for (let more = true; more; ) {
    items = [];
    more = walk.step();
    yield* items;
  }
}

function sentenceOf(hole: Hole, size: number): string {
  const end = Math.min(hole.end, size);
  return `${describeHole({ ...hole, end })}${hole.isLast ? "; no entry follows" : ""}`;
}

function trailerOf(storage: Storage, fd: number, size: number): ReturnType<typeof decodeSettledTrailer> {
  const at = size - SETTLED_TRAILER_BYTES;
  if (at < HEADER_BYTES) return undefined;
  const bytes = new Uint8Array(SETTLED_TRAILER_BYTES);
  if (readFully(storage, fd, bytes, 0, bytes.length, at) < bytes.length) return undefined;
  const trailer = decodeSettledTrailer(bytes);
  if (trailer === undefined || trailer.footerAt + trailer.footerLength !== at) return undefined;
  const head = new Uint8Array(SIDECAR_HEADER_BYTES);
  readFully(storage, fd, head, 0, head.length, trailer.footerAt);
  return decodeSidecarHeader(new Int32Array(head.buffer)) === undefined ? undefined : trailer;
}

/** What the header's seed must have been, from the name and the fence in the same folder. */
function seedByName(storage: Storage, directory: string, name: string): number | undefined {
  try {
    const journalId = readFence(storage, directory)?.journalId;
    if (journalId === undefined) return undefined;
    const segment = parseSegmentFileName(name);
    if (segment !== undefined) return segmentSeed(journalId, segment.basePosition, segment.epoch);
    const settled = parseSettledFileName(name);
    return settled === undefined ? undefined : settledSeed(journalId, settled);
  } catch {
    return undefined;
  }
}
