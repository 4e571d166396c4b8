import { type Spread, spreadOf } from "@millrace/load/internal";
import type { BenchRow, RowOutcome } from "../harness/bench-row.ts";
import { type CoreContext, takenOnce } from "./core-context.ts";
import type { PingPongCommands } from "./ping-pong/ping-pong-process.ts";
import type { PingPongResult, WaitingBy } from "./ping-pong/ping-pong-spec.ts";
import { CORES, type CpuReport, inFreshProcess, sampleInTurn } from "./samples-in-turn.ts";

const THREADS = 2;
const WAYS: readonly WaitingBy[] = ["spin", "yielding", "back-off", "doorbell", "message-port"];
const GAPS_MS = [0, 1, 10] as const;
type Gap = (typeof GAPS_MS)[number];

/** What a spinning pair may take, p50. */
const SPIN_US_MAX = 2;
/** The window of the longest gap is so many times as long, or too few round trips would fit. */
const LONG_GAP_WINDOWS = 3;

export const pingPongRows: readonly BenchRow<CoreContext>[] = GAPS_MS.flatMap((gapMs) =>
  WAYS.filter((by) => by !== "message-port").map((by) =>
    rowOf(by as Exclude<WaitingBy, "message-port">, gapMs),
  ),
);

function rowOf(by: Exclude<WaitingBy, "message-port">, gapMs: Gap): BenchRow<CoreContext> {
  const absolute = by === "spin" && gapMs === 0;
  const judged = (absolute || by === "doorbell") && CORES >= THREADS;
  return {
    name: gapMs === 0 ? `ping-pong-${by}` : `ping-pong-${by}-${gapMs}ms`,
    description: `round trip ${gapMs === 0 ? "back to back" : `after ${gapMs} ms of silence`}, p50: ${by} over ${
      absolute ? `${SPIN_US_MAX} us` : "MessagePort"
    }`,
    target: judged ? 1 : null,
    sense: "at-most",
    run: async (context) => {
      const trips = await takenOnce(context, `ping-pong/${gapMs}`, () => sampleGap(context, gapMs));
      return describe(trips, by, absolute);
    },
  };
}

/** Microseconds, over the samples of one way to wait. */
interface RoundTripSpread {
  readonly p50: Spread;
  readonly p99: Spread;
  readonly roundTrips: Spread;
  readonly elsewhereCores: number;
}

async function sampleGap(context: CoreContext, gapMs: Gap): Promise<Map<WaitingBy, RoundTripSpread>> {
  const { settleMs, durationMs } = context.plan;
  const spec = {
    gapMs,
    warmUpMs: settleMs,
    durationMs: gapMs === 10 ? LONG_GAP_WINDOWS * durationMs : durationMs,
  };
  const module = new URL("./ping-pong/ping-pong-process.js", import.meta.url);
  const samples = await sampleInTurn(
    context,
    WAYS.map((by) => ({
      name: by,
      take: () =>
        inFreshProcess<PingPongCommands, PingPongResult & CpuReport>(context, module, (child) =>
          child.call("run", { ...spec, by }),
        ),
    })),
  );
  return new Map(
    WAYS.map((by) => {
      const taken = samples.get(by) ?? [];
      const microseconds = (of: (sample: PingPongResult) => number): Spread =>
        spreadOf(taken.map((sample) => of(sample) * 1000));
      return [
        by,
        {
          p50: microseconds(({ latency }) => latency.p50),
          p99: microseconds(({ latency }) => latency.p99),
          roundTrips: spreadOf(taken.map(({ latency }) => latency.count)),
          elsewhereCores: spreadOf(taken.map(({ elsewhereCores }) => elsewhereCores)).median,
        },
      ];
    }),
  );
}

function describe(
  trips: ReadonlyMap<WaitingBy, RoundTripSpread>,
  by: WaitingBy,
  absolute: boolean,
): RowOutcome {
  const own = trips.get(by) as RoundTripSpread;
  const port = trips.get("message-port") as RoundTripSpread;
  const againstPort = own.p50.median / port.p50.median;
  return {
    ratio: absolute ? own.p50.median / SPIN_US_MAX : againstPort,
    counts: true,
    raw: {
      unit: "us",
      ours: own,
      messagePort: port,
      ratioOfP99: own.p99.median / port.p99.median,
      cores: CORES,
    },
    details: [
      line(by, own),
      line("MessagePort", port),
      `over MessagePort: p50 ${againstPort.toFixed(2)}, p99 ${(own.p99.median / port.p99.median).toFixed(2)}`,
      ...(own.elsewhereCores >= 0.1
        ? [`beside ${by} other processes and the kernel used ${own.elsewhereCores.toFixed(2)} cores`]
        : []),
      ...(CORES < THREADS ? [`${THREADS} threads on ${CORES} cores: no verdict`] : []),
    ],
  };
}

function line(name: string, { p50, p99, roundTrips }: RoundTripSpread): string {
  return `${name}: p50 ${microseconds(p50)}, p99 ${microseconds(p99)}; ${roundTrips.median} round trips a sample`;
}

function microseconds({ median, min, max }: Spread): string {
  const digits = median < 10 ? 2 : 1;
  return `${median.toFixed(digits)} us (${min.toFixed(digits)}..${max.toFixed(digits)})`;
}
