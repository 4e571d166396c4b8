/** How much and how long. Units: bytes and milliseconds. */
export interface LogPlan {
  /** Ingest rows: load before the measured window. */
  readonly ingestWarmUpMs: number;
  readonly ingestMs: number;
  /** The data that is replayed alone. */
  readonly aloneBytes: number;
  /** The interleaved data, of `INTERLEAVED_TOPICS` topics. */
  readonly interleavedBytes: number;
  /**
   * Topics that one sample of `replay-interleaved` replays, one after the other. A sample begins with a broker just started,
   * whose code is still being compiled: it takes seconds, so that this does not decide it.
   */
  readonly interleavedReplays: number;
  readonly neighbourMs: number;
  /** Pairs of windows with and without replays, and starts after a kill. */
  readonly shortRounds: number;
  readonly settleTimeoutMs: number;
}

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const GB = 1e9;

export const INTERLEAVED_TOPICS = 256;
/** Connections of an ingest. */
export const INGEST_CONNECTIONS = 4;
/** An ingest is cut short rather than fill the disk. */
export const FREE_BYTES_MIN: number = 8 * GIB;

export const FULL: LogPlan = {
  ingestWarmUpMs: 5_000,
  ingestMs: 60_000,
  aloneBytes: 4 * GIB,
  interleavedBytes: 20 * GB,
  interleavedReplays: 64,
  neighbourMs: 10_000,
  shortRounds: 5,
  settleTimeoutMs: 300_000,
};

export const QUICK: LogPlan = {
  ingestWarmUpMs: 1_000,
  ingestMs: 10_000,
  aloneBytes: GIB,
  interleavedBytes: 2 * GB,
  interleavedReplays: 32,
  neighbourMs: 4_000,
  shortRounds: 2,
  settleTimeoutMs: 30_000,
};

export function topicNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `bench-${String(index).padStart(3, "0")}`);
}
