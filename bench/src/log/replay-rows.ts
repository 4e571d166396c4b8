import { rmSync } from "node:fs";
import { join } from "node:path";
import type { BenchRow, RowOutcome } from "../harness/bench-row.ts";
import { outcomeOf } from "../harness/comparison.ts";
import { type SampleSet, sampleAlternating } from "../harness/sampling.ts";
import { formatSpread } from "../harness/terminal.ts";
import type { ReplayerCommands } from "./generators/replayer.ts";
import type { LogContext } from "./log-context.ts";
import { BrokerReplays, FileReplays, ReplaySubject } from "./replay-subjects.ts";
import { interleavedData, type RetainedData, retain } from "./retained-data.ts";
import { formatFolder } from "./settled.ts";
import type { FileServerCommands } from "./yardsticks/file-server.ts";

export const replayRows: readonly BenchRow<LogContext>[] = [
  {
    name: "replay-alone",
    description:
      "cold replay of the one partition of a broker, against its bytes read and written to a socket",
    target: 0.7,
    sense: "at-least",
    run: async (context) => {
      const data = await retain(context, "alone", 1, context.logPlan.aloneBytes);
      try {
        return await runReplay(context, data, 1);
      } finally {
        await data.broker.remove();
      }
    },
  },
  {
    name: "replay-interleaved",
    description: "cold replays of one partition after the other of 256 that were published interleaved",
    target: 0.7,
    sense: "at-least",
    run: async (context) =>
      runReplay(context, await interleavedData(context), context.logPlan.interleavedReplays),
  },
];

async function runReplay(context: LogContext, data: RetainedData, replays: number): Promise<RowOutcome> {
  const { children } = context;
  const server = await children.fork<FileServerCommands>(
    new URL("./yardsticks/file-server.js", import.meta.url),
  );
  const replayer = await children.fork<ReplayerCommands>(
    new URL("./generators/replayer.js", import.meta.url),
  );
  const path = join(context.folder, "yardstick.dat");
  try {
    context.progress.say("writing the yardstick's file");
    const rangeBytes = Math.floor(data.bytes / data.topics.length);
    await server.call("prepare", { path, bytes: rangeBytes * replays });
    const url = await server.call("listen", { path });
    const file = new FileReplays(server, url, {
      ranges: replays,
      rangeBytes,
      bytesPerRecord: data.bytesPerRecord,
    });
    const broker = new BrokerReplays(data, replays);
    const subjects = (["cold", "warm"] as const).flatMap((cache) => [
      new ReplaySubject(context, file, cache, replayer),
      new ReplaySubject(context, broker, cache, replayer),
    ]);
    const plan = { rounds: context.plan.rounds, warmUpMs: 0, settleMs: 0, durationMs: 0 };
    const sets = await sampleAlternating(subjects, plan, context.progress.say, () => Promise.resolve());
    return describe(sets, subjects, data, replays * rangeBytes);
  } catch (error) {
    throw data.broker.explain(error);
  } finally {
    await data.broker.stop();
    await children.end(replayer.pid);
    await children.end(server.pid);
    rmSync(path, { force: true });
  }
}

function describe(
  sets: readonly SampleSet[],
  subjects: readonly ReplaySubject[],
  data: RetainedData,
  sampleBytes: number,
): RowOutcome {
  const [fileCold, brokerCold, fileWarm, brokerWarm] = sets as [SampleSet, SampleSet, SampleSet, SampleSet];
  const options = { unit: "bytes", generatorsAt: "yardstick" } as const;
  const cold = outcomeOf(fileCold, brokerCold, options);
  const warm = outcomeOf(fileWarm, brokerWarm, options);
  const evictions = [...new Set(subjects.flatMap((subject) => subject.evictions))];
  const evicted = !evictions.includes("not");
  const { quiet } = data.state;
  return {
    ...cold,
    raw: { ...cold.raw, warm: { ratio: warm.ratio, ...warm.raw }, evictions, state: data.state, sampleBytes },
    details: [
      ...(evicted ? [] : ["the page cache could not be dropped: cold is WARM here"]),
      ...cold.details,
      `warm: ratio ${warm.ratio?.toFixed(3)}, ` +
        [fileWarm, brokerWarm]
          .map((set) => `${set.subject} ${formatSpread(set.bytesPerSecond, 1e6, "MB/s")}`)
          .join(", ") +
        (warm.counts ? "" : ", a lower bound"),
      `a sample is ${(sampleBytes / 1e6).toFixed(0)} MB of ${(data.bytes / 1e9).toFixed(1)} GB retained in ` +
        `${formatFolder(data.state)}${quiet ? "" : ", which were still changing"}; page cache: ${evictions.join(", ")}`,
    ],
  };
}
