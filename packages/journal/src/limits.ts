/** Every bound of the journal; those that depend on each other are asserted below. */
export const JOURNAL_LIMITS = {
  /** Header and payload of one entry. Larger than any ring record of the broker, so that state entries fit too. */
  entryBytesMax: 4_194_304,
  segmentBytesMin: 4_096,
  segmentBytesDefault: 67_108_864,
  /** Positions inside a segment are 32 bit in the index. */
  segmentBytesMax: 1_073_741_824,
  /** Pieces of one gathered write (IOV_MAX of Linux). */
  writePiecesMax: 1024,
  /**
   * One write of entries. The kernel takes memory for the page cache in pieces as large as the write, and where its memory is
   * full of cache it first has to move pages together for them: 1 MiB at a time then costs a third more than this.
   */
  writeBytesMax: 131_072,
  /** Runs below this size are copied together before they are written: a piece costs more than the copy. */
  gatherRunBytesMax: 2_048,
  gatherBytes: 262_144,
  /** One chunk of the memory that holds entries staged from private bytes. */
  stagingChunkBytes: 262_144,
  /** Contiguous entries of a partition share an index point up to this many bytes … */
  pointBytesMax: 65_536,
  /** … and entries with those of other partitions between them up to this many. */
  sparsePointBytesMax: 16_384,
  /** One read of a cold reader, unless a single entry is larger. */
  coldReadBytes: 262_144,
  /** The same where nothing is read ahead: past the page cache, and where a stretch begins. */
  coldLongReadBytes: 1_048_576,
  /** What one read of a stream has brought into the page cache for the next. */
  coldAheadBytesMax: 2_097_152,
  /** Bytes read past the page cache after which one read looks whether the file is in it by now. */
  coldProbeBytes: 33_554_432,
  /** Extents of an unsealed segment in one location. */
  locationExtentsMax: 16,
  /** Segments and settled files that a cold reader keeps open. */
  coldReaderFilesMax: 64,
  /** Tables and points of their indexes that it keeps. */
  coldReaderIndexBytesMax: 16_777_216,
  /** Streams whose last position it remembers. */
  coldReaderPositionsMax: 4_096,
  /** Indexes that a search reads before others have their turn. */
  coldReaderLoadsPerTurn: 32,
  /** A segment is fit to be read alone while no more than this part of it is of no use any more. */
  adoptDeadShareMax: 0.25,
  /** It is also of one topic: all others together have no more than this part of what lives in it. */
  adoptOtherTopicsShareMax: 0.125,
  /** A topic gets a file of its own if it has so many bytes in a settled stretch, and this part of what lives there. */
  settledTopicBytesMin: 1_048_576,
  settledTopicPart: 0.062_5,
  /** A sort collects this much output before it writes, and one entry more. */
  sortBufferBytes: 12_582_912,
  /** One read of a sort, unless a single entry is larger; a gap between two entries up to the second is read too. */
  sortReadBytes: 1_048_576,
  sortGapBytesMax: 4_096,
  /**
   * Entries that a sort lists in memory, at 8 bytes each. It takes no further segment that would need more; where the first
   * one needs more the sort lists none and reads the headers again for each buffer of output.
   */
  sortEntriesMax: 524_288,
  /** Settled files are written in pieces of this size, and synced after so many bytes. */
  settleWriteBytes: 1_048_576,
  settleSyncBytes: 16_777_216,
  /** Checkpoints kept: the newest, and one to fall back to. */
  checkpointsKept: 2,
  /** Sync requests that wait for the sync thread before they are merged on the shard's side. */
  syncRequestsMax: 64,
  /** A segment that lasts longer than this is followed by one that was zeroed ahead. */
  prepareAfterMs: 1_000,
  /** Sealed segments whose sidecar is not durable; past it the journal counts as full. */
  sealedPendingMax: 8,
  /** A segment whose index points cover so many bytes on the average is fit to be read as it is. */
  densePointBytes: 32_768,
  /** Segments, and bytes, that one job settles. */
  settleSegmentsMax: 64,
  settleBytesMax: 268_435_456,
  /** Other segments than dense ones are settled when so many wait (of the full size) … */
  settleBatchSegments: 4,
  /** … or when the oldest has waited so long. */
  settleAfterMs: 30_000,
  /** What a settle job writes per second while one segment waits; twice as much for each further one … */
  settleBytesPerSecond: 67_108_864,
  /** … and without a limit from so many on. */
  settleUnlimitedSegments: 4,
  /** The greatest part number in a settled file's name. */
  settledPartMax: 9_999,
  /** A settled file is rewritten when less than half of it lives, if that frees this part of a segment: 4 MiB of 64. */
  rewriteDeadPart: 16,
  /** First wait before a failed background job is tried again; doubled up to the second. */
  retryAfterMs: 100,
  retryAfterMsMax: 10_000,
} as const;

if (JOURNAL_LIMITS.entryBytesMax % 8 !== 0) {
  throw new RangeError("entryBytesMax must be a multiple of 8");
}
if (JOURNAL_LIMITS.coldReadBytes < JOURNAL_LIMITS.pointBytesMax) {
  throw new RangeError("coldReadBytes must hold an index point");
}
if (JOURNAL_LIMITS.segmentBytesMax > 2 ** 31) {
  throw new RangeError("segmentBytesMax must leave positions inside a segment in 32 bits");
}
