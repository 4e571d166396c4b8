/** What the producer's perf tool says of the records behind its warm-up. */
export interface ProducerPerformance {
  readonly records: number;
  readonly recordsPerSecond: number;
  /** Of the ack, in ms, counted from the call of send(): not from a schedule. */
  readonly latency: { readonly p50: number; readonly p99: number; readonly max: number };
}

/** What the consumer's perf tool says. */
export interface ConsumerPerformance {
  readonly records: number;
  readonly recordsPerSecond: number;
  readonly seconds: number;
}

/** What the end-to-end latency tool says: one record at a time. */
export interface EndToEndLatency {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

const PRODUCED = new RegExp(
  String.raw`^(\d+) (steady state )?records sent, ([\d.]+) records/sec \(.*\), [\d.]+ ms avg latency, ([\d.]+) ms max latency` +
    String.raw`, (\d+) ms 50th, \d+ ms 95th, (\d+) ms 99th`,
);
const PERCENTILES = /50th = ([\d.]+), 99th = ([\d.]+), 99.9th = ([\d.]+)/;

/** @throws Error when there is no summary in the lines */
export function readProducerPerformance(lines: readonly string[]): ProducerPerformance {
  const found = lines.map((line) => PRODUCED.exec(line)).filter((match) => match !== null);
  // With a warm-up there are two: of everything, and of the steady state.
  const match = found.find((each) => each[2] !== undefined) ?? found[0];
  if (match === undefined) throw new Error(`no summary of the producer:\n${lines.slice(-5).join("\n")}`);
  const [, records, , rate, max, p50, p99] = match;
  return {
    records: Number(records),
    recordsPerSecond: Number(rate),
    latency: { p50: Number(p50), p99: Number(p99), max: Number(max) },
  };
}

/** By the titles of its columns. @throws Error when they are not there */
export function readConsumerPerformance(lines: readonly string[]): ConsumerPerformance {
  const at = lines.findIndex((line) => line.startsWith("start.time"));
  const titles = (lines[at] ?? "").split(", ");
  const values = (lines[at + 1] ?? "").split(", ");
  const columnOf = (title: string): number => Number(values[titles.indexOf(title)]);
  const records = columnOf("data.consumed.in.nMsg");
  const fetchMs = columnOf("fetch.time.ms");
  if (!(at >= 0 && records > 0 && fetchMs > 0)) {
    throw new Error(`no summary of the consumer:\n${lines.slice(-5).join("\n")}`);
  }
  // Without the time that joining the group takes.
  return { records, recordsPerSecond: (records * 1000) / fetchMs, seconds: fetchMs / 1000 };
}

/** @throws Error when there are no percentiles in the lines */
export function readEndToEndLatency(lines: readonly string[]): EndToEndLatency {
  const match = lines.map((line) => PERCENTILES.exec(line)).find((each) => each !== null);
  if (match === undefined || match === null) {
    throw new Error(`no latencies:\n${lines.slice(-5).join("\n")}`);
  }
  return { p50: Number(match[1]), p99: Number(match[2]), p999: Number(match[3]) };
}

/**
 * Records a second of the consumer's lines of progress, from the first one with so many records on.
 * @throws Error when there are fewer than two such lines
 */
export function readConsumerProgress(lines: readonly string[], warmUpRecords: number): number {
  const at = lines.findIndex((line) => line.startsWith("time, "));
  const recordsColumn = (lines[at] ?? "").split(", ").indexOf("data.consumed.in.nMsg");
  const progress = lines
    .slice(at + 1)
    .map((line) => line.split(", "))
    .map((columns) => ({ ms: timeMs(columns[0]), records: Number(columns[recordsColumn]) }))
    .filter(({ ms, records }) => ms !== undefined && records >= warmUpRecords);
  const first = progress[0];
  const last = progress.at(-1);
  if (at < 0 || first?.ms === undefined || last?.ms === undefined || last === first) {
    throw new Error(`no progress of the consumer behind its warm-up:\n${lines.slice(-5).join("\n")}`);
  }
  // A run over midnight.
  const tookMs = (last.ms - first.ms + DAY_MS) % DAY_MS;
  return ((last.records - first.records) * 1000) / tookMs;
}

const DAY_MS = 86_400_000;

/** Milliseconds of the day of "2026-11-23 04:44:22:134". */
function timeMs(text: string | undefined): number | undefined {
  const match = /^\d+-\d+-\d+ (\d+):(\d+):(\d+):(\d+)$/.exec(text ?? "");
  if (match === null) return undefined;
  const [hours, minutes, seconds, ms] = match.slice(1).map(Number) as [number, number, number, number];
  return ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms;
}
