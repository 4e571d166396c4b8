/** Every bound of this package; those that depend on each other are asserted below. */
export const CORE_LIMITS = {
  /** Smallest ring whose records have a payload at all, in bytes. */
  ringCapacityBytesMin: 128,
  /** Largest ring, in bytes: differences of positions must stay positive as int32. */
  ringCapacityBytesMax: 1_073_741_824,
  /** Smallest broadcast whose records have a payload at all, in bytes; the largest is that of rings. */
  broadcastCapacityBytesMin: 256,
  /** A record takes at most this part of a ring's capacity, so that a claim never waits for an empty ring. */
  recordsPerRingMin: 8,
  /** Producer of a one-to-one ring: the tail is published at the latest when this many bytes are committed. */
  unpublishedBytesMax: 65_536,
  /** Consumer of a many-to-one ring: `read` zeroes and gives back space at the latest after this many bytes. */
  unreleasedBytesMax: 65_536,
  /** Each ring of a channel that was told nothing else, in bytes. */
  channelCapacityBytes: 1_048_576,
  /** Event loop end of a channel: records handed over in one go, unless told otherwise. */
  channelRecordsPerTurn: 1024,
  /** Event loop end of a channel: goes in a row that pokes may bring about before the loop's other work must have had its turn. */
  channelTurnsPerLoop: 16,
  /** End of a channel that blocks: looks before it sleeps. */
  channelSpins: 64,
  /** End of a channel that blocks: time between looks whether its peer's thread is still there; doubles from the first to the last. */
  channelProbeMsMin: 50,
  channelProbeMsMax: 1000,
} as const;

if (CORE_LIMITS.ringCapacityBytesMax >= 2 ** 31) {
  throw new RangeError("ringCapacityBytesMax must leave differences of positions positive as int32");
}
if (CORE_LIMITS.ringCapacityBytesMin / CORE_LIMITS.recordsPerRingMin <= 8) {
  throw new RangeError(
    "ringCapacityBytesMin must leave room for a payload behind a record's 8 bytes of header",
  );
}
if (CORE_LIMITS.broadcastCapacityBytesMin / CORE_LIMITS.recordsPerRingMin <= 16) {
  throw new RangeError(
    "broadcastCapacityBytesMin must leave room for a payload behind a record's 16 bytes of header",
  );
}
if (CORE_LIMITS.recordsPerRingMin < 4) {
  throw new RangeError(
    "recordsPerRingMin must let a wrapping claim (two parts) and a run of another part fit into one ring",
  );
}
