/** What `nats bench` says at its end, of all of its clients together. */
export interface NatsBenchOutput {
  readonly messagesPerSecond: number;
  /** Milliseconds per operation: of a request that is the round trip, of a publish only the call. */
  readonly latency?: { readonly p50: number; readonly p99: number; readonly max: number };
}

/** @throws Error when there is no line with a rate, or it is for other clients than those asked for */
export function parseNatsBench(output: string): NatsBenchOutput {
  const rates = [...output.matchAll(/stats: ([\d,]+) msgs\/sec/g)];
  const rate = rates.at(-1);
  if (rate === undefined) throw new Error(`nats bench says no rate:\n${output.slice(-2000)}`);
  const messagesPerSecond = Number((rate[1] as string).replaceAll(",", ""));
  // One client: "P50: 1.2us" in the same line; several: "P50 1.2us" two lines below.
  const tail = output.slice(rate.index);
  const p50 = microseconds(tail, /P50:? ([\d,.]+)us/);
  const p99 = microseconds(tail, /P99:? ([\d,.]+)us/);
  const max = microseconds(tail, /max:? ([\d,.]+)us/);
  if (p50 === undefined || p99 === undefined || max === undefined) return { messagesPerSecond };
  return { messagesPerSecond, latency: { p50: p50 / 1000, p99: p99 / 1000, max: max / 1000 } };
}

function microseconds(text: string, pattern: RegExp): number | undefined {
  const found = pattern.exec(text)?.[1];
  return found === undefined ? undefined : Number(found.replaceAll(",", ""));
}
