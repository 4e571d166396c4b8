export interface RedisBenchmarkOutput {
  readonly requestsPerSecond: number;
  /** Milliseconds from the write of a pipeline to each of its replies. */
  readonly latency: { readonly p50: number; readonly p99: number; readonly max: number };
}

/**
 * The line of `redis-benchmark --csv`: name, rps, then average, min, p50, p95, p99 and max of the latency.
 * @throws Error when there is none
 */
export function parseRedisBenchmark(output: string): RedisBenchmarkOutput {
  const line = output.trimEnd().split("\n").at(-1) ?? "";
  // From the end: the name is the command itself and may hold anything.
  const fields = [...line.matchAll(/"([\d.]+)"/g)].slice(-7).map(([, number]) => Number(number));
  const [requestsPerSecond, , , p50, , p99, max] = fields;
  if (requestsPerSecond === undefined || p50 === undefined || p99 === undefined || max === undefined) {
    throw new Error(`redis-benchmark says no rate:\n${output.slice(-2000)}`);
  }
  return { requestsPerSecond, latency: { p50, p99, max } };
}
