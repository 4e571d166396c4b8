/** A line a second of PerfTest, or of StreamLoad. */
export interface RateLine {
  /** Since the start. */
  readonly seconds: number;
  /** Length of the interval. */
  readonly lengthSeconds: number;
  readonly confirmedPerSecond: number | undefined;
  readonly receivedPerSecond: number | undefined;
  /** Of the interval, in ms. */
  readonly consumerLatency: { readonly p50: number; readonly p99: number } | undefined;
  readonly confirmLatency: { readonly p50: number; readonly p99: number } | undefined;
}

const TIME = /\btime ([\d.]+) s,/;
const CONFIRMED = /\bconfirmed: (\d+) msg\/s/;
const RECEIVED = /\breceived: (\d+) msg\/s/;
const CONSUMER_LATENCY = /consumer latency: \d+\/(\d+)\/\d+\/\d+\/(\d+) ms/;
const CONFIRM_LATENCY = /confirm latency: \d+\/(\d+)\/\d+\/\d+\/(\d+) ms/;

/** The lines that say a rate, in their order; others are left out. */
export function readRateLines(lines: readonly string[]): RateLine[] {
  const read: RateLine[] = [];
  for (const line of lines) {
    const time = TIME.exec(line)?.[1];
    if (time === undefined) continue;
    const seconds = Number(time);
    const before = read.at(-1)?.seconds ?? 0;
    read.push({
      seconds,
      lengthSeconds: seconds - before,
      confirmedPerSecond: rateOf(CONFIRMED, line),
      receivedPerSecond: rateOf(RECEIVED, line),
      consumerLatency: latencyOf(CONSUMER_LATENCY, line),
      confirmLatency: latencyOf(CONFIRM_LATENCY, line),
    });
  }
  return read;
}

/** What the rates of these lines are together, weighted by their length. @throws Error when there are none */
export function meanRate(lines: readonly RateLine[], rate: (line: RateLine) => number | undefined): number {
  let seconds = 0;
  let records = 0;
  for (const line of lines) {
    const perSecond = rate(line);
    if (perSecond === undefined) continue;
    seconds += line.lengthSeconds;
    records += perSecond * line.lengthSeconds;
  }
  if (seconds === 0) throw new Error("the tool said no rates behind its warm-up");
  return records / seconds;
}

function rateOf(pattern: RegExp, line: string): number | undefined {
  const match = pattern.exec(line);
  return match === null ? undefined : Number(match[1]);
}

function latencyOf(pattern: RegExp, line: string): { p50: number; p99: number } | undefined {
  const match = pattern.exec(line);
  return match === null ? undefined : { p50: Number(match[1]), p99: Number(match[2]) };
}
