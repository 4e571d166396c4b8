import { payloadChecksum } from "../entry/entry-check.ts";
import {
  ENTRY_BATCH_CRC_WORD,
  ENTRY_CHECKED_WORDS,
  ENTRY_FLAGS_SHIFT,
  ENTRY_HEADER_BYTES,
  ENTRY_HEADER_CRC_WORD,
  ENTRY_TYPE_BATCH,
  ENTRY_VERSION_WORD,
  FLAG_ERASED,
} from "../entry/entry-layout.ts";
import { checksumWords } from "../entry/header-checksum.ts";
import type { Hole } from "./damage-walk.ts";
import type { EntryFacts } from "./entry-facts.ts";
import { erasedPayload } from "./erased-batch.ts";
import type { Patch } from "./finding.ts";

/** What mends a damaged place of a segment, without moving anything else. */
export interface EntryRepair {
  readonly does: string;
  readonly patches: readonly Patch[];
}

const CATALOG_TOPIC_ID = 0;

/**
 * How a hole in a segment can be mended: a header of which one byte changed is put right; a batch whose payload is damaged keeps
 * its place, its header and its offsets, and its records become removed ones.
 *
 * @param isReplayed the entry stands behind a checkpoint that a start may go back to.
 * @returns undefined when that would lose more than records: changes of state, topics, or entries that nobody can name.
 */
export function repairEntry(hole: Hole, seed: number, isReplayed: boolean): EntryRepair | undefined {
  const { start, end, reason, header, headerBytes } = hole;
  if (reason === "bytes behind the entry") {
    const patches = [{ at: start, bytes: new Uint8Array(end - start) }];
    return { does: "put the zeros behind the entry back", patches };
  }
  if (header === undefined || headerBytes === undefined) return undefined;
  if (hole.isCorrected) {
    const patches = [{ at: start, bytes: headerBytes }];
    return { does: "put the one byte of the entry's header back that its checksums prove wrong", patches };
  }
  if (header.topicId === CATALOG_TOPIC_ID && isReplayed) return undefined;
  const erased = erasedEntry(header, headerBytes, seed);
  if (erased === undefined) return undefined;
  const patches = [{ at: start, bytes: erased }];
  const { topicId, partition, baseOffset, count } = header;
  const records = `offsets ${baseOffset} to ${baseOffset + count - 1} of topic ${topicId} partition ${partition}`;
  return {
    does: `mark the batch's records as lost (${records}), of which readers are told, so that what is around them can be used`,
    patches,
  };
}

/**
 * What takes the place of a batch whose payload is damaged: an entry with its header, flagged as erased, and as many removed
 * records.
 * @returns undefined when that cannot be, as the entry is no batch or the header is not that of one.
 */
export function erasedEntry(
  header: EntryFacts,
  headerBytes: Uint8Array,
  seed: number,
): Uint8Array | undefined {
  if (header.type !== ENTRY_TYPE_BATCH) return undefined;
  const payload = erasedPayload(header.length - ENTRY_HEADER_BYTES, header.count);
  if (payload === undefined) return undefined;
  const words = new Int32Array(headerBytes.slice().buffer);
  words[ENTRY_VERSION_WORD] = (words[ENTRY_VERSION_WORD] as number) | (FLAG_ERASED << ENTRY_FLAGS_SHIFT);
  words[ENTRY_BATCH_CRC_WORD] = payloadChecksum(payload, header.type, 0, payload.length) | 0;
  words[ENTRY_HEADER_CRC_WORD] = checksumWords(words, 0, ENTRY_CHECKED_WORDS, seed);
  const entry = new Uint8Array(header.length);
  entry.set(new Uint8Array(words.buffer));
  entry.set(payload, ENTRY_HEADER_BYTES);
  return entry;
}

/** The damaged place in a sentence. */
export function describeHole({ start, end, reason, header, isCorrected }: Hole): string {
  const bytes = end - start;
  const place = Number.isFinite(bytes) ? `${bytes} bytes` : "the rest of the file";
  if (reason === "sequence") return "the entry here does not follow on the one before it: some are missing";
  if (reason === "bytes behind the entry") return "the bytes that fill up an entry are not zero";
  if (isCorrected) return "the header of an entry is damaged in one byte";
  if (header === undefined) return `${place} are no entry (${reason})`;
  const { type, topicId, partition, baseOffset, count } = header;
  const what =
    type === ENTRY_TYPE_BATCH
      ? `a batch of topic ${topicId} partition ${partition}, offsets ${baseOffset} to ${baseOffset + count - 1}`
      : "a change of the shard's state";
  return `the payload of an entry is damaged: ${what}`;
}
