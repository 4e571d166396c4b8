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
  /** Extents of an unsealed segment in one location. */
  locationExtentsMax: 16,
  coldReaderSegmentsMax: 32,
  coldReaderSidecarBytesMax: 8_388_608,
  /** Checkpoints kept: the newest, and one to fall back to. */
  checkpointsKept: 2,
  /** Sync requests that wait for the sync thread before they are merged on the shard's side. */
  syncRequestsMax: 64,
  /** A segment that lasts longer than this is followed by one that was zeroed ahead. */
  prepareAfterMs: 1_000,
  /** Sealed segments whose sidecar is not durable; past it the journal counts as full. */
  sealedPendingMax: 8,
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
