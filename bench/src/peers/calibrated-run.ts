/** Long enough for a rate to be near the later one, short beside the run. */
const TRIAL_RECORDS = 50_000;
const TRIAL_BYTES_MAX = 64 * 1024 * 1024;
const RECORDS_MIN = 1000;

/**
 * For tools that are told a number of records instead of a time: a short trial says how many make a run of that length.
 * `run` returns records per second.
 */
export async function recordsFor(
  durationMs: number,
  valueBytes: number,
  run: (records: number) => Promise<number>,
): Promise<number> {
  const trial = Math.max(RECORDS_MIN, Math.min(TRIAL_RECORDS, Math.floor(TRIAL_BYTES_MAX / valueBytes)));
  const recordsPerSecond = await run(trial);
  return Math.max(trial, Math.round((recordsPerSecond * durationMs) / 1000));
}
