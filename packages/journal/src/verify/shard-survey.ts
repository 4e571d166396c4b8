import { MillraceError } from "@millrace/protocol";
import {
  CHECKPOINT_FORMAT_VERSION,
  type Checkpoint,
  checkpointFileName,
  decodeCheckpoint,
  parseCheckpointFileName,
} from "../checkpoint/checkpoint-layout.ts";
import { parseClaimFileName } from "../ownership/claim.ts";
import { FENCE_FILE, type Fence, readFence } from "../ownership/fence.ts";
import { QUARANTINE_FILE } from "../ownership/quarantine.ts";
import { chainSegments, type LiveSegment } from "../segment/segment-chain.ts";
import {
  decodeSegmentHeader,
  parseSegmentFileName,
  SEGMENT_HEADER_BYTES,
  type SegmentName,
  segmentFileName,
  sidecarFileName,
} from "../segment/segment-layout.ts";
import {
  decodeManifest,
  MANIFEST_FORMAT_VERSION,
  type Manifest,
  parseManifestFileName,
} from "../settled/manifest-layout.ts";
import { parseSettledFileName, type SettledName } from "../settled/settled-layout.ts";
import { RESERVE_FILE } from "../storage/disk-reserve.ts";
import { readFile, readFully, type Storage } from "../storage/storage.ts";
import { journalIdOf } from "./journal-id.ts";

/** A checkpoint by its name, with what is in it unless that is damaged. */
export interface SurveyedCheckpoint {
  readonly name: string;
  readonly position: number;
  readonly size: number;
  /** Without its state. */
  readonly content: Pick<Checkpoint, "position" | "sequence" | "segments" | "clean" | "epoch"> | undefined;
}

/** What is in a shard's folder, by its names, and what is in the small files. */
export interface ShardSurvey {
  readonly directory: string;
  readonly shardId: number;
  readonly fence: Fence | undefined;
  /** There is a fence, and nobody can read it. */
  readonly fenceIsDamaged: boolean;
  /** The journal's id: from the fence, or worked out from the header of a segment; undefined when neither says. */
  readonly journalId: number | undefined;
  readonly segments: readonly LiveSegment[];
  /** Segments that a newer epoch cut off. */
  readonly dead: readonly SegmentName[];
  /** Names. */
  readonly sidecars: ReadonlySet<string>;
  /** Oldest first. */
  readonly checkpoints: readonly SurveyedCheckpoint[];
  /** Of the highest epoch. */
  readonly manifest:
    | { readonly name: string; readonly epoch: number; readonly content: Manifest | undefined }
    | undefined;
  readonly olderManifests: readonly string[];
  readonly settled: readonly SettledName[];
  /** What the marker says, if there is one. */
  readonly quarantine: string | undefined;
  readonly temporaries: readonly string[];
  readonly unknown: readonly string[];
}

const SIDECAR = /^\d{16}-\d{8}\.idx$/;

/**
 * Looks at a shard's folder without reading its large files.
 * @param otherNames of files that may be there and are not the journal's.
 * @throws what the storage throws; MillraceError DATA_FORMAT_NEWER
 */
export function surveyShard(
  storage: Storage,
  directory: string,
  shardId: number,
  otherNames: readonly string[] = [],
): ShardSurvey {
  const names = storage.list(directory).sort();
  const { fence, fenceIsDamaged } = surveyFence(storage, directory, shardId);
  const journalId = fence?.journalId ?? journalIdFromSegments(storage, directory, names);
  const { live, dead } = chainSegments(names, directory, journalId ?? 0);
  const temporaries = names.filter((name) => name.endsWith(".tmp"));
  const manifests = names
    .filter((name) => parseManifestFileName(name) !== undefined)
    .sort((a, b) => (parseManifestFileName(b) as number) - (parseManifestFileName(a) as number));
  const settled = names
    .map(parseSettledFileName)
    .filter((name) => name !== undefined)
    .sort(bySettledName);
  const marker = names.includes(QUARANTINE_FILE)
    ? readFile(storage, `${directory}/${QUARANTINE_FILE}`)
    : undefined;
  return {
    directory,
    shardId,
    fence,
    fenceIsDamaged,
    journalId,
    segments: live,
    dead,
    sidecars: new Set(names.filter((name) => SIDECAR.test(name))),
    checkpoints: surveyCheckpoints(storage, directory, shardId, names),
    manifest: surveyManifest(storage, directory, shardId, manifests[0]),
    olderManifests: manifests.slice(1),
    settled,
    quarantine: marker === undefined ? undefined : Buffer.from(marker).toString().trim(),
    temporaries,
    unknown: names.filter((name) => !isKnown(name) && !otherNames.includes(name)),
  };
}

/** By basePosition, part and epoch. */
export function bySettledName(a: SettledName, b: SettledName): number {
  return a.basePosition - b.basePosition || a.part - b.part || a.epoch - b.epoch;
}

function isKnown(name: string): boolean {
  return (
    name === FENCE_FILE ||
    name === RESERVE_FILE ||
    name === QUARANTINE_FILE ||
    name.endsWith(".tmp") ||
    SIDECAR.test(name) ||
    parseClaimFileName(name) !== undefined ||
    parseSegmentFileName(name) !== undefined ||
    parseCheckpointFileName(name) !== undefined ||
    parseManifestFileName(name) !== undefined ||
    parseSettledFileName(name) !== undefined
  );
}

function surveyFence(
  storage: Storage,
  directory: string,
  shardId: number,
): { fence: Fence | undefined; fenceIsDamaged: boolean } {
  try {
    const fence = readFence(storage, directory);
    // One of another shard says nothing about this one.
    if (fence !== undefined && fence.shardId !== shardId) return { fence: undefined, fenceIsDamaged: true };
    return { fence, fenceIsDamaged: false };
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code !== "JOURNAL_DAMAGED") throw error;
    return { fence: undefined, fenceIsDamaged: true };
  }
}

/** The id that the most headers of segments lead to. */
function journalIdFromSegments(
  storage: Storage,
  directory: string,
  names: readonly string[],
): number | undefined {
  const votes = new Map<number, number>();
  for (const name of names) {
    const segment = parseSegmentFileName(name);
    if (segment === undefined) continue;
    const { basePosition, epoch } = segment;
    const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
    const fd = storage.open(`${directory}/${segmentFileName(basePosition, epoch)}`, "read");
    try {
      if (readFully(storage, fd, bytes, 0, bytes.length, 0) < bytes.length) continue;
    } finally {
      storage.close(fd);
    }
    const header = decodeSegmentHeader(bytes);
    if (header === undefined || header.basePosition !== basePosition || header.epoch !== epoch) continue;
    const journalId = journalIdOf(header.seed, basePosition, epoch);
    votes.set(journalId, (votes.get(journalId) ?? 0) + 1);
  }
  return [...votes].sort((a, b) => b[1] - a[1])[0]?.[0];
}

function surveyCheckpoints(
  storage: Storage,
  directory: string,
  shardId: number,
  names: readonly string[],
): SurveyedCheckpoint[] {
  const checkpoints: SurveyedCheckpoint[] = [];
  for (const name of names) {
    const position = parseCheckpointFileName(name);
    if (position === undefined) continue;
    const path = `${directory}/${checkpointFileName(position)}`;
    const bytes = readFile(storage, path);
    const decoded = bytes === undefined ? undefined : decodeCheckpoint(bytes);
    if (decoded !== undefined) requireVersion(path, decoded.version, CHECKPOINT_FORMAT_VERSION);
    const isOurs = decoded?.position === position && decoded.shardId === shardId;
    checkpoints.push({
      name,
      position,
      size: bytes?.length ?? 0,
      content: isOurs ? headOf(decoded) : undefined,
    });
  }
  return checkpoints.sort((a, b) => a.position - b.position);
}

/** Without the bytes, which are not needed any more. */
function headOf({ position, sequence, segments, clean, epoch }: Checkpoint): SurveyedCheckpoint["content"] {
  return { position, sequence, segments, clean, epoch };
}

function surveyManifest(
  storage: Storage,
  directory: string,
  shardId: number,
  name: string | undefined,
): ShardSurvey["manifest"] {
  if (name === undefined) return undefined;
  const path = `${directory}/${name}`;
  const epoch = parseManifestFileName(name) as number;
  const bytes = readFile(storage, path);
  const decoded = bytes === undefined ? undefined : decodeManifest(bytes);
  if (decoded !== undefined) requireVersion(path, decoded.version, MANIFEST_FORMAT_VERSION);
  const isOurs = decoded?.epoch === epoch && decoded.shardId === shardId;
  return { name, epoch, content: isOurs ? decoded : undefined };
}

function requireVersion(path: string, version: number, versionMax: number): void {
  if (version <= versionMax) return;
  throw new MillraceError("DATA_FORMAT_NEWER", `file has format ${version}: ${path}`, {
    details: { file: path, version, versionMax },
  });
}

/** Path of a segment's sidecar. */
export function sidecarPath(directory: string, { basePosition, epoch }: SegmentName): string {
  return `${directory}/${sidecarFileName(basePosition, epoch)}`;
}
