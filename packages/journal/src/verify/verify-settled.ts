import { ENTRY_CHECK } from "../entry/entry-check.ts";
import {
  alignEntry,
  ENTRY_APPEND_TIME_WORD,
  ENTRY_BASE_OFFSET_WORD,
  ENTRY_COUNT_WORD,
  ENTRY_LENGTH_WORD,
  ENTRY_PARTITION_WORD,
  ENTRY_TOPIC_ID_WORD,
  ENTRY_TYPE_BATCH,
  ENTRY_TYPE_WORD,
  readU32,
  readU64,
} from "../entry/entry-layout.ts";
import { SegmentWindow } from "../segment/segment-window.ts";
import type { SettledFile } from "../settled/manifest-layout.ts";
import {
  decodeSettledTrailer,
  SETTLED_HEADER_BYTES,
  SETTLED_TRAILER_BYTES,
  type SettledName,
  type SettledTrailer,
  settledFileName,
} from "../settled/settled-layout.ts";
import { readFully, type Storage } from "../storage/storage.ts";
import { type Hole, walkEntries } from "./damage-walk.ts";
import { IndexCheck, type IndexProblem } from "./index-check.ts";
import { PartitionTotals, TOTAL_FIELDS, TOTAL_TOPIC_ID, totalKey } from "./partition-totals.ts";
import { identifySettled, type SettledIdentity } from "./settled-identity.ts";
import { HOLES_MAX, WINDOW_BYTES } from "./verify-limits.ts";

/** Reads all of a settled file. Plain data, as the result is: they travel between threads. */
export interface SettledJob {
  readonly kind: "settled";
  readonly directory: string;
  readonly shardId: number;
  readonly journalId: number;
  readonly name: SettledName;
  /** As the manifest lists it, if it does. */
  readonly listed: SettledFile | undefined;
}

export interface SettledResult {
  readonly kind: "settled";
  readonly path: string;
  readonly name: SettledName;
  readonly size: number;
  /** Undefined: nothing says what it is. */
  readonly identity: SettledIdentity | undefined;
  readonly holes: readonly Hole[];
  /** What else is wrong, with byte and sentence. */
  readonly problems: readonly IndexProblem[];
  /** As the manifest should list it; undefined while something is wrong with the file. */
  readonly file: SettledFile | undefined;
  /** TOTAL_FIELDS numbers a partition. */
  readonly rows: Float64Array;
}

/** @throws what the storage throws; MillraceError DATA_FORMAT_NEWER */
export function verifySettled(
  storage: Storage,
  job: SettledJob,
  onBytes: (bytes: number) => void,
): SettledResult {
  const path = `${job.directory}/${settledFileName(job.name)}`;
  const fd = storage.open(path, "read");
  try {
    const result = new SettledVerification(storage, fd, path, job).run();
    onBytes(result.size);
    return result;
  } finally {
    storage.close(fd);
  }
}

class SettledVerification {
  private readonly storage: Storage;
  private readonly fd: number;
  private readonly path: string;
  private readonly job: SettledJob;
  private readonly size: number;
  private readonly window: SegmentWindow;
  private readonly totals: PartitionTotals = new PartitionTotals();
  private readonly holes: Hole[] = [];
  private readonly problems: IndexProblem[] = [];
  private index: IndexCheck | undefined;
  private isSorted = false;
  private lastKey = -1;

  constructor(storage: Storage, fd: number, path: string, job: SettledJob) {
    this.storage = storage;
    this.fd = fd;
    this.path = path;
    this.job = job;
    this.size = storage.size(fd);
    this.window = new SegmentWindow(storage, WINDOW_BYTES);
    this.window.attach(fd);
  }

  run(): SettledResult {
    const { job, path, window, size, problems } = this;
    const { name, shardId, journalId } = job;
    const identity = identifySettled(window, path, name, shardId, journalId);
    if (identity?.headerIsGood !== true) this.report(0, "the header is damaged");
    const trailer = this.readTrailer();
    const file = identity === undefined ? undefined : this.readEntries(identity, trailer);
    const isGood = problems.length === 0 && this.holes.length === 0;
    return {
      kind: "settled",
      path,
      name,
      size,
      identity,
      holes: this.holes,
      problems,
      file: isGood ? file : undefined,
      rows: this.totals.rows(),
    };
  }

  private readTrailer(): SettledTrailer | undefined {
    const at = this.size - SETTLED_TRAILER_BYTES;
    const bytes = new Uint8Array(SETTLED_TRAILER_BYTES);
    const whole =
      at >= SETTLED_HEADER_BYTES &&
      readFully(this.storage, this.fd, bytes, 0, bytes.length, at) === bytes.length;
    const trailer = whole ? decodeSettledTrailer(bytes) : undefined;
    if (trailer !== undefined && trailer.footerAt + trailer.footerLength === at) return trailer;
    this.report(Math.max(0, at), "the trailer is damaged, or the file was cut off");
    return undefined;
  }

  private readEntries(
    identity: SettledIdentity,
    trailer: SettledTrailer | undefined,
  ): SettledFile | undefined {
    const { job, path, window, size, totals } = this;
    const { name } = job;
    const { adopted, seed, segmentEpoch } = identity;
    const footerAt = trailer?.footerAt ?? job.listed?.footerAt ?? size;
    if (trailer !== undefined) this.readIndex(trailer, identity);
    this.isSorted = !adopted;
    const { end } = walkEntries(
      window,
      {
        path,
        from: SETTLED_HEADER_BYTES,
        limit: footerAt,
        seed,
        epoch: segmentEpoch,
        firstSequence: undefined,
        // Entries may have been taken out of it by a repair.
        isConsecutive: false,
        check: ENTRY_CHECK,
      },
      {
        entry: this.onEntry,
        hole: (hole) => {
          // Without a trailer nobody knows where the entries end and the index begins.
          if (hole.isLast && trailer === undefined) return;
          if (this.holes.length < HOLES_MAX) this.holes.push(hole);
        },
      },
    );
    if (this.holes.length === 0) this.index?.finish();
    const { problem, header } = this.index ?? {};
    // An index that leads to what is damaged is no finding of its own.
    if (problem !== undefined && (this.holes.length === 0 || header === undefined))
      this.report(footerAt + problem.position, problem.sentence);
    if (trailer === undefined) return undefined;
    const rows = totals.rows();
    const firstTopicId = rows[TOTAL_TOPIC_ID] ?? 0;
    const lastTopicId = rows[rows.length - TOTAL_FIELDS + TOTAL_TOPIC_ID] ?? 0;
    return {
      ...name,
      endPosition: identity.endPosition ?? this.index?.header?.endPosition ?? name.basePosition + end,
      sizeBytes: size,
      footerAt: trailer.footerAt,
      entryBytes: totals.entryBytes,
      firstTime: rows.length === 0 ? 0 : totals.firstTime,
      lastTime: totals.lastTime,
      expiryTime: totals.expiryTime(),
      firstTopicId,
      lastTopicId,
      partitionCount: totals.partitionCount,
      adopted,
      records: totals.records,
    };
  }

  private readIndex({ footerAt, footerLength }: SettledTrailer, identity: SettledIdentity): void {
    const bytes = new Uint8Array(footerLength);
    readFully(this.storage, this.fd, bytes, 0, footerLength, footerAt);
    const { adopted, segmentEpoch, endPosition } = identity;
    this.index = new IndexCheck(bytes, {
      basePosition: this.job.name.basePosition,
      endPosition: endPosition ?? this.job.listed?.endPosition,
      epoch: adopted ? segmentEpoch : this.job.name.epoch,
    });
  }

  private readonly onEntry = (words: Int32Array, _: Buffer, index: number, at: number): void => {
    const word = index >> 2;
    // An adopted segment keeps its state entries, which mean nothing any more.
    if (words[word + ENTRY_TYPE_WORD] !== ENTRY_TYPE_BATCH) return;
    const size = alignEntry(words[word + ENTRY_LENGTH_WORD] as number);
    const topicId = readU32(words, word + ENTRY_TOPIC_ID_WORD);
    const partition = readU32(words, word + ENTRY_PARTITION_WORD);
    const baseOffset = readU64(words, word + ENTRY_BASE_OFFSET_WORD);
    const reached = this.totals.add(words, word, size);
    if (reached >= 0) {
      const where = `topic ${topicId} partition ${partition}`;
      this.report(at, `${where} begins again at offset ${baseOffset} when it had reached ${reached}`);
    }
    const key = totalKey(topicId, partition);
    if (this.isSorted && key < this.lastKey)
      this.report(at, "the entries are not in the order of partitions");
    this.lastKey = key;
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

  private report(position: number, sentence: string): void {
    if (this.problems.length < HOLES_MAX) this.problems.push({ position, sentence });
  }
}
