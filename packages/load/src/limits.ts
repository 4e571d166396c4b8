/** What one generator, one repetition and one document may be at most: a slip of the pen shall not take the machine down. */
export const LIMITS = {
  connectionsMax: 20_000,
  /** Connections that one generator makes at once. */
  connectingMax: 64,
  generatorsMax: 256,
  repetitionsMax: 1000,
  valueBytesMax: 1_048_576,
  keysMax: 1_000_000,
  burstMax: 1_048_576,
  inFlightMax: 16_777_216,
  recordsPerSecondMax: 100_000_000,
  warmUpMsMax: 3_600_000,
  durationMsMax: 86_400_000,
  drainMsMax: 600_000,
  /** Of one call to a generator: importing a driver, preparing, connecting. */
  commandTimeoutMs: 120_000,
  errorsKept: 10,
  documentBytesMax: 536_870_912,
} as const;

/** Bytes of the time in a stamped value. */
export const STAMP_BYTES = 8;
/** Step of the series of a window. */
export const SERIES_STEP_MS = 250;
