import { MillraceError } from "@millrace/protocol";
import { ENTRY_CHECK } from "../entry/entry-check.ts";
import {
  alignEntry,
  ENTRY_APPEND_TIME_WORD,
  ENTRY_BASE_OFFSET_WORD,
  ENTRY_COUNT_WORD,
  ENTRY_LENGTH_WORD,
  ENTRY_PARTITION_WORD,
  ENTRY_SEQUENCE_WORD,
  ENTRY_SYNCED_POSITION_WORD,
  ENTRY_TOPIC_ID_WORD,
  ENTRY_TYPE_BATCH,
  ENTRY_TYPE_WORD,
  readU32,
  readU64,
} from "../entry/entry-layout.ts";
import {
  decodeSegmentHeader,
  SEGMENT_FORMAT_VERSION,
  SEGMENT_HEADER_BYTES,
  segmentFileName,
  sidecarFileName,
} from "../segment/segment-layout.ts";
import { SegmentWindow } from "../segment/segment-window.ts";
import { readFile, type Storage } from "../storage/storage.ts";
import { type Hole, tornBytesFrom, walkEntries } from "./damage-walk.ts";
import { IndexCheck, type IndexProblem } from "./index-check.ts";
import { PartitionTotals } from "./partition-totals.ts";
import { HOLES_MAX, WINDOW_BYTES } from "./verify-limits.ts";

/** Reads all of a segment, and its sidecar. Plain data, as the result is: they travel between threads. */
export interface SegmentJob {
  readonly kind: "segment";
  readonly directory: string;
  readonly shardId: number;
  readonly basePosition: number;
  readonly epoch: number;
  readonly seed: number;
  /** Where the next segment begins; undefined for the last one. */
  readonly endPosition: number | undefined;
  /** Positions whose sequence is wanted: those of checkpoints. */
  readonly marks: readonly number[];
  readonly hasSidecar: boolean;
}

export interface SegmentResult {
  readonly kind: "segment";
  readonly path: string;
  readonly basePosition: number;
  readonly epoch: number;
  readonly size: number;
  readonly headerIsGood: boolean;
  /** Greatest position that the header or a good entry says was durable. */
  readonly provenPosition: number;
  /** In order, at most HOLES_MAX of them. The natural end of the last segment is not one. */
  readonly holes: readonly Hole[];
  /** Batches that begin below the offset that their partition had reached. */
  readonly overlaps: readonly { readonly at: number; readonly sentence: string }[];
  /** Position behind the last good entry. */
  readonly endPosition: number;
  /** Bytes behind it, up to where the segment ends, that are not zero. */
  readonly tornBytes: number;
  readonly entries: number;
  readonly firstSequence: number | undefined;
  readonly nextSequence: number | undefined;
  /** For each mark the sequence of the entry there, or of the one that would be; undefined where no entry begins. */
  readonly marks: readonly (number | undefined)[];
  readonly indexProblem: IndexProblem | undefined;
  /** TOTAL_FIELDS numbers a partition. */
  readonly rows: Float64Array;
}

/** @throws what the storage throws; MillraceError DATA_FORMAT_NEWER */
export function verifySegment(
  storage: Storage,
  job: SegmentJob,
  onBytes: (bytes: number) => void,
): SegmentResult {
  const path = `${job.directory}/${segmentFileName(job.basePosition, job.epoch)}`;
  const fd = storage.open(path, "read");
  try {
    const window = new SegmentWindow(storage, WINDOW_BYTES);
    window.attach(fd);
    const result = new SegmentVerification(storage, job, path, window, onBytes).run(storage.size(fd));
    onBytes(result.size);
    return result;
  } finally {
    storage.close(fd);
  }
}

class SegmentVerification {
  private readonly job: SegmentJob;
  private readonly path: string;
  private readonly window: SegmentWindow;
  private readonly index: IndexCheck | undefined;
  private readonly totals: PartitionTotals = new PartitionTotals();
  private readonly holes: Hole[] = [];
  private readonly overlaps: { at: number; sentence: string }[] = [];
  private readonly marks: (number | undefined)[];
  private provenPosition = 0;
  private entries = 0;
  private firstSequence: number | undefined;

  constructor(
    storage: Storage,
    job: SegmentJob,
    path: string,
    window: SegmentWindow,
    onBytes: (bytes: number) => void,
  ) {
    this.job = job;
    this.path = path;
    this.window = window;
    this.marks = job.marks.map(() => undefined);
    this.index = job.hasSidecar ? this.openIndex(storage, onBytes) : undefined;
  }

  run(size: number): SegmentResult {
    const { job, path, window, totals } = this;
    const { basePosition, epoch, seed } = job;
    const headerIsGood = this.readHeader();
    const limit = job.endPosition === undefined ? Number.POSITIVE_INFINITY : job.endPosition - basePosition;
    const { end, nextSequence } = walkEntries(
      window,
      {
        path,
        from: SEGMENT_HEADER_BYTES,
        limit,
        seed,
        epoch,
        firstSequence: undefined,
        isConsecutive: true,
        check: ENTRY_CHECK,
      },
      { entry: this.onEntry, hole: this.onHole },
    );
    const endPosition = basePosition + end;
    job.marks.forEach((mark, i) => {
      if (mark === endPosition) this.marks[i] = nextSequence;
      else if (mark >= basePosition && mark <= basePosition + SEGMENT_HEADER_BYTES) {
        this.marks[i] = this.firstSequence;
      }
    });
    if (this.holes.length === 0) this.index?.finish();
    const damagedIndex = this.index?.header === undefined || this.holes.length === 0;
    return {
      kind: "segment",
      path,
      basePosition,
      epoch,
      size,
      headerIsGood,
      provenPosition: this.provenPosition,
      holes: this.holes,
      overlaps: this.overlaps,
      endPosition,
      tornBytes: tornBytesFrom(window, end, Math.min(limit, size), Number.MAX_SAFE_INTEGER),
      entries: this.entries,
      firstSequence: this.firstSequence,
      nextSequence,
      marks: this.marks,
      // An index of a file with holes is looked at again once they are mended.
      indexProblem: damagedIndex ? this.index?.problem : undefined,
      rows: totals.rows(),
    };
  }

  private readHeader(): boolean {
    const { job, window, path } = this;
    const index = window.load(0, SEGMENT_HEADER_BYTES);
    if (index < 0) return false;
    const header = decodeSegmentHeader(window.bytes.subarray(index, index + SEGMENT_HEADER_BYTES));
    if (header === undefined) return false;
    if (header.version > SEGMENT_FORMAT_VERSION) {
      throw new MillraceError("DATA_FORMAT_NEWER", `file has format ${header.version}: ${path}`, {
        details: { file: path, version: header.version, versionMax: SEGMENT_FORMAT_VERSION },
      });
    }
    const fits =
      header.seed === (job.seed | 0) &&
      header.shardId === job.shardId &&
      header.epoch === job.epoch &&
      header.basePosition === job.basePosition;
    if (fits) this.provenPosition = header.syncedPosition;
    return fits;
  }

  private openIndex(storage: Storage, onBytes: (bytes: number) => void): IndexCheck | undefined {
    const { directory, basePosition, epoch, endPosition } = this.job;
    const bytes = readFile(storage, `${directory}/${sidecarFileName(basePosition, epoch)}`);
    if (bytes === undefined) return undefined;
    onBytes(bytes.length);
    return new IndexCheck(bytes, { basePosition, epoch, endPosition });
  }

  private readonly onEntry = (words: Int32Array, _: Buffer, index: number, at: number): void => {
    const word = index >> 2;
    const sequence = readU64(words, word + ENTRY_SEQUENCE_WORD);
    this.entries++;
    this.firstSequence ??= sequence;
    const synced = readU64(words, word + ENTRY_SYNCED_POSITION_WORD);
    if (synced > this.provenPosition) this.provenPosition = synced;
    this.markSequence(at, sequence);
    if (words[word + ENTRY_TYPE_WORD] !== ENTRY_TYPE_BATCH) return;
    const size = alignEntry(words[word + ENTRY_LENGTH_WORD] as number);
    const topicId = readU32(words, word + ENTRY_TOPIC_ID_WORD);
    const partition = readU32(words, word + ENTRY_PARTITION_WORD);
    const baseOffset = readU64(words, word + ENTRY_BASE_OFFSET_WORD);
    const reached = this.totals.add(words, word, size);
    if (reached >= 0 && this.overlaps.length < HOLES_MAX) {
      const where = `topic ${topicId} partition ${partition}`;
      this.overlaps.push({
        at,
        sentence: `${where} begins again at offset ${baseOffset} when it had reached ${reached}`,
      });
    }
    this.index?.entry(
      topicId,
      partition,
      baseOffset,
      readU32(words, word + ENTRY_COUNT_WORD),
      readU64(words, word + ENTRY_APPEND_TIME_WORD),
      at,
      size,
    );
  };

  private markSequence(at: number, sequence: number): void {
    const { marks, basePosition } = this.job;
    for (let i = 0; i < marks.length; i++) if (marks[i] === basePosition + at) this.marks[i] = sequence;
  }

  private readonly onHole = (hole: Hole): void => {
    // Zeros, or nothing, are how a segment ends that is written to.
    if (hole.isLast && this.job.endPosition === undefined && hole.isZero) return;
    const { header } = hole;
    if (header !== undefined) {
      this.firstSequence ??= header.sequence;
      this.markSequence(hole.start, header.sequence);
      if (header.syncedPosition > this.provenPosition) this.provenPosition = header.syncedPosition;
    }
    if (this.holes.length < HOLES_MAX) this.holes.push(hole);
  };
}
