import { join } from "node:path";
import { spreadOf } from "@millrace/load/internal";
import { BATCH_BYTES, type BenchRow, type RowOutcome, VALUE_BYTES } from "../harness/bench-row.ts";
import { outcomeOf } from "../harness/comparison.ts";
import { DiskSubject } from "../harness/disk-subject.ts";
import type { DiskCommands } from "../harness/disk-writer.ts";
import { flushFileSystem, freeBytes } from "../harness/file-system.ts";
import { type DirtyLimits, dirtyLimits } from "../harness/kernel-memory.ts";
import { type SampleSet, sampleAlternating } from "../harness/sampling.ts";
import { formatSpread } from "../harness/terminal.ts";
import { buildPublishBlock } from "../wire/publish-block.ts";
import { IngestSubject, type IngestWindow, SlicedDiskSubject } from "./ingest-subjects.ts";
import type { LogContext } from "./log-context.ts";
import { FREE_BYTES_MIN, INTERLEAVED_TOPICS } from "./log-plan.ts";
import { formatFolder } from "./settled.ts";
import { formatSlices } from "./sliced-window.ts";

const MIB = 1024 * 1024;
/** The yardstick is the faster of the two. */
const WRITE_BYTES: readonly number[] = [MIB, 4 * MIB];

export const ingestRows: readonly BenchRow<LogContext>[] = [
  {
    name: "ingest-adopted",
    description: "sustained fsynced 16 KiB batches to one partition, against one file written and synced",
    target: 0.75,
    sense: "at-least",
    run: (context) => runIngest(context, "ingest-adopted", 1),
  },
  {
    name: "ingest-sorted",
    description: "the same to 256 topics in turn",
    target: 0.4,
    sense: "at-least",
    run: (context) => runIngest(context, "ingest-sorted", INTERLEAVED_TOPICS),
  },
];

async function runIngest(context: LogContext, row: string, topicCount: number): Promise<RowOutcome> {
  const free = freeBytes(context.folder);
  if (free < 2 * FREE_BYTES_MIN) {
    throw new Error(`skipped: needs ${2 * FREE_BYTES_MIN} bytes of free disk, there are ${free}`);
  }
  const { children, logPlan } = context;
  const broker = new IngestSubject(context, row, topicCount);
  const disk = await children.fork<DiskCommands>(new URL("../harness/disk-writer.js", import.meta.url), {
    label: "disk",
  });
  const dirty = dirtyLimits();
  try {
    const path = join(context.folder, "yardstick.dat");
    const disks = WRITE_BYTES.map((writeBytes) => {
      const args = { path, sync: true, writeBytes, recordsPerMebibyte: recordsPerMebibyte() };
      const subject = new DiskSubject(disk, args, `disk ${writeBytes / MIB} MiB`);
      return new SlicedDiskSubject(subject, path, context.folder);
    });
    const plan = {
      rounds: context.plan.rounds,
      warmUpMs: 0,
      settleMs: logPlan.ingestWarmUpMs,
      durationMs: logPlan.ingestMs,
    };
    const sets = await sampleAlternating([...disks, broker], plan, context.progress.say, () =>
      flushFileSystem(context),
    );
    return describe(sets, disks, broker.windows, dirty);
  } catch (error) {
    throw broker.explain(error);
  } finally {
    await broker.remove();
    await children.end(disk.pid);
  }
}

/** Stored records of the generator's batches in a mebibyte. */
function recordsPerMebibyte(): number {
  const shape = { topicIds: [1], valueBytes: VALUE_BYTES, batchBytes: BATCH_BYTES };
  const { recordsPerFrame, payloadBytes } = buildPublishBlock(shape, BATCH_BYTES);
  return (recordsPerFrame * MIB) / payloadBytes;
}

function describe(
  sets: readonly SampleSet[],
  disks: readonly SlicedDiskSubject[],
  windows: readonly IngestWindow[],
  dirty: DirtyLimits,
): RowOutcome {
  const brokerSet = sets[sets.length - 1] as SampleSet;
  const diskSets = sets.slice(0, -1);
  const best = diskSets.reduce((a, b) => (b.bytesPerSecond.median > a.bytesPerSecond.median ? b : a));
  const bestDisk = disks[diskSets.indexOf(best)] as SlicedDiskSubject;
  const outcome = outcomeOf(best, brokerSet, { unit: "bytes", generatorsAt: "broker" });
  const others = diskSets.filter((set) => set !== best);
  return {
    ...outcome,
    raw: {
      ...outcome.raw,
      otherYardsticks: others,
      yardstickWindows: bestDisk.windows,
      brokerWindows: windows,
      dirtyLimits: dirty,
    },
    details: [
      ...outcome.details,
      ...others.map(
        (set) => `slower yardstick: ${set.subject} ${formatSpread(set.bytesPerSecond, 1e6, "MB/s")}`,
      ),
      ...windows.map((window, round) => formatSlices(`round ${round + 1}, broker`, window.slices)),
      ...bestDisk.windows.map((slices, round) =>
        formatSlices(`round ${round + 1}, ${bestDisk.name}`, slices),
      ),
      ...describeWindows(windows, dirty),
    ],
  };
}

function describeWindows(windows: readonly IngestWindow[], dirty: DirtyLimits): string[] {
  const of = (figure: (window: IngestWindow) => number): number => spreadOf(windows.map(figure)).median;
  const acked = of((window) => window.ackedBytes);
  const written = of((window) => window.writtenBytes);
  const latency = (figure: "p50" | "p99" | "max"): string =>
    of((window) => window.latency[figure]).toFixed(1);
  const throttled = windows.reduce((sum, window) => sum + window.throttledRecords, 0);
  const last = windows[windows.length - 1] as IngestWindow;
  return [
    `ack latency at full load: p50 ${latency("p50")} ms, p99 ${latency("p99")} ms, max ${latency("max")} ms`,
    `a window acknowledged ${gigabytes(acked)} and wrote ${gigabytes(written)} (${(written / acked).toFixed(2)} times)`,
    `dirty limit ${gigabytes(dirty.limitBytes)}, in the background ${gigabytes(dirty.backgroundBytes)} ` +
      `(${dirty.source}, ${gigabytes(dirty.availableBytes)} available)` +
      (written > dirty.limitBytes ? "" : ": NOT reached, the window is too short"),
    `broker at most ${(Math.max(...windows.map((window) => window.peakResidentBytes)) / MIB).toFixed(0)} MiB resident; ` +
      `${throttled} records throttled; at the end ${formatFolder(last.folder)}`,
  ];
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}
