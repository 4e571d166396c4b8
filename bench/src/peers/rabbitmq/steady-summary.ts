import { spreadOf } from "@millrace/load/internal";
import type { NativeRequest, NativeResult } from "../../suite/subjects/subject.ts";
import { meanRate, type RateLine } from "./rate-lines.ts";

/** Until the rate of a new JVM, and of a node that has just started, is steady: seconds before the ones that count. */
export const WARM_UP_SECONDS = 8;

/** What counts is behind the warm-up; CPU and its records are of the whole run. */
export function steadySummary(
  all: readonly RateLine[],
  request: NativeRequest,
  rest: Pick<NativeResult, "clientCpuSeconds" | "brokerCpuSeconds" | "settings">,
): NativeResult {
  const rate =
    request.scenario === "pinned-producer"
      ? (line: RateLine) => line.confirmedPerSecond
      : (line: RateLine) => line.receivedPerSecond;
  const steady = all.filter(({ seconds, lengthSeconds }) => seconds - lengthSeconds >= WARM_UP_SECONDS - 0.5);
  const latencies = steady.flatMap(({ consumerLatency, confirmLatency }) =>
    request.scenario === "pinned-producer" ? (confirmLatency ?? []) : (consumerLatency ?? []),
  );
  const measured = steady.reduce((sum, { lengthSeconds }) => sum + lengthSeconds, 0);
  const whole = all.reduce((sum, { lengthSeconds }) => sum + lengthSeconds, 0);
  return {
    ...rest,
    recordsPerSecond: meanRate(steady, rate),
    seconds: measured,
    records: meanRate(all, rate) * whole,
    latency:
      latencies.length === 0
        ? undefined
        : {
            p50: spreadOf(latencies.map(({ p50 }) => p50)).median,
            p99: spreadOf(latencies.map(({ p99 }) => p99)).median,
          },
    notes: [
      `warm-up of ${WARM_UP_SECONDS} s: a JVM is slow until its code is compiled`,
      ...(latencies.length === 0
        ? []
        : ["latencies are medians of those of each second, not from a schedule"]),
    ],
  };
}
