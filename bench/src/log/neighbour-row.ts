import { type CommandedChild, delay, type Spread, spreadOf } from "@millrace/load/internal";
import type { BenchRow, RowOutcome } from "../harness/bench-row.ts";
import { type CacheEviction, dropPageCache } from "../harness/file-system.ts";
import type { PacedCommands, PacedResult } from "./generators/paced-publisher.ts";
import type { ReplayerCommands } from "./generators/replayer.ts";
import type { LogContext } from "./log-context.ts";
import { interleavedData, type RetainedData } from "./retained-data.ts";

const LANES = 8;
const PUBLISHES_PER_SECOND = 2_000;
const VALUE_BYTES = 1024;
const WARM_UP_MS = 1_000;
/** The replays are under way before the publisher begins. */
const REPLAY_LEAD_MS = 500;

interface NeighbourWindow extends PacedResult {
  /** Of the replays meanwhile, bytes per second; 0 without. */
  readonly replayedPerSecond: number;
  readonly replays: number;
}

export const neighbourRow: BenchRow<LogContext> = {
  name: "replay-neighbour",
  description: "p99 of publishes to another topic while 8 cold replays run, over p99 without",
  target: 2,
  sense: "at-most",
  run: async (context) => {
    const data = await interleavedData(context);
    try {
      return await runNeighbour(context, data);
    } catch (error) {
      throw data.broker.explain(error);
    } finally {
      await data.broker.stop();
    }
  },
};

async function runNeighbour(context: LogContext, data: RetainedData): Promise<RowOutcome> {
  const { children, logPlan, progress } = context;
  const paced = await children.fork<PacedCommands>(
    new URL("./generators/paced-publisher.js", import.meta.url),
  );
  const replayer = await children.fork<ReplayerCommands>(
    new URL("./generators/replayer.js", import.meta.url),
  );
  const windows = { without: [] as NeighbourWindow[], with: [] as NeighbourWindow[] };
  const evictions = new Set<CacheEviction>();
  try {
    await data.broker.start();
    await paced.call("connect", { url: data.broker.url, topic: "neighbour", valueBytes: VALUE_BYTES });
    for (let round = 0; round < logPlan.shortRounds; round++) {
      const order = round % 2 === 0 ? (["without", "with"] as const) : (["with", "without"] as const);
      for (const kind of order) {
        progress.say(`round ${round + 1} of ${logPlan.shortRounds}: ${kind} replays`);
        evictions.add(await dropPageCache(context));
        // Other topics first in each round, so that what is read has not been read before as long as there is any.
        const topics = rotated(data.topics, round * LANES * 4);
        windows[kind].push(
          kind === "without"
            ? { ...(await publish(context, paced)), replayedPerSecond: 0, replays: 0 }
            : await publishBeside(context, paced, replayer, { ...data, topics }),
        );
      }
    }
  } finally {
    await children.end(paced.pid);
    await children.end(replayer.pid);
  }
  return describe(windows.without, windows.with, data.topics.length, [...evictions]);
}

function publish(context: LogContext, paced: CommandedChild<PacedCommands>): Promise<PacedResult> {
  const durationMs = context.logPlan.neighbourMs;
  return paced.call("run", { perSecond: PUBLISHES_PER_SECOND, warmUpMs: WARM_UP_MS, durationMs });
}

async function publishBeside(
  context: LogContext,
  paced: CommandedChild<PacedCommands>,
  replayer: CommandedChild<ReplayerCommands>,
  data: RetainedData,
): Promise<NeighbourWindow> {
  const { topics, bytesPerRecord } = data;
  await replayer.call("startLanes", { url: data.broker.url, topics, lanes: LANES, bytesPerRecord });
  await delay(REPLAY_LEAD_MS);
  const before = await replayer.call("mark", null);
  const result = await publish(context, paced);
  const after = await replayer.call("mark", null);
  const { replays } = await replayer.call("stopLanes", null);
  const replayedPerSecond = ((after.bytes - before.bytes) * 1000) / (after.timeMs - before.timeMs);
  return { ...result, replayedPerSecond, replays };
}

function rotated(topics: readonly string[], by: number): string[] {
  const first = by % topics.length;
  return [...topics.slice(first), ...topics.slice(0, first)];
}

function describe(
  without: readonly NeighbourWindow[],
  beside: readonly NeighbourWindow[],
  topics: number,
  evictions: readonly CacheEviction[],
): RowOutcome {
  const of = (windows: readonly NeighbourWindow[], figure: (window: NeighbourWindow) => number): Spread =>
    spreadOf(windows.map(figure));
  const p99Without = of(without, (window) => window.latency.p99);
  const p99With = of(beside, (window) => window.latency.p99);
  const p50 = (window: NeighbourWindow): number => window.latency.p50;
  const p50Ratio = of(beside, p50).median / of(without, p50).median;
  const perRound = spreadOf(
    p99With.samples.map((sample, round) => sample / (p99Without.samples[round] as number)),
  );
  const replays = of(beside, (window) => window.replays).median;
  const throttled = [...without, ...beside].reduce((sum, window) => sum + window.throttled, 0);
  const line = (name: string, windows: readonly NeighbourWindow[]): string =>
    `${name}: p50 ${milliseconds(of(windows, (w) => w.latency.p50))}, p99 ${milliseconds(of(windows, (w) => w.latency.p99))}, ` +
    `p99.9 ${milliseconds(of(windows, (w) => w.latency.p999))}; of that the generator itself, p99 ` +
    milliseconds(of(windows, (w) => w.lateness.p99));
  return {
    ratio: p99With.median / p99Without.median,
    counts: true,
    raw: { unit: "ms", ratioPerRound: perRound, p50Ratio, without, with: beside, evictions },
    details: [
      `ratio by round ${perRound.min.toFixed(2)}..${perRound.max.toFixed(2)}; ratio of the p50 ${p50Ratio.toFixed(2)}`,
      line("without", without),
      line("with 8 replays", beside),
      `the replays took ${(of(beside, (w) => w.replayedPerSecond).median / 1e6).toFixed(0)} MB/s together, ` +
        `${replays} partitions a window${replays > topics ? ", some twice and then from the page cache" : ""}; ` +
        `page cache: ${evictions.join(", ")}` +
        (throttled > 0 ? `; ${throttled} publishes throttled` : ""),
    ],
  };
}

function milliseconds({ median, min, max }: Spread): string {
  return `${median.toFixed(1)} ms (${min.toFixed(1)}..${max.toFixed(1)})`;
}
