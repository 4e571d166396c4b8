import { delay, monotonicMs, residentBytes } from "@millrace/load/internal";
import type { LogContext } from "./log-context.ts";
import { INTERLEAVED_TOPICS } from "./log-plan.ts";
import { interleavedData, type RetainedData, retain, startIngest, untilIngested } from "./retained-data.ts";

const MIB = 1024 * 1024;
/** What is published before each kill, which comes in the midst of more. */
const BEFORE_KILL_BYTES: number = 128 * MIB;
/** Retained in the case that shows what a broker needs anyway. */
const LITTLE_BYTES: number = 128 * MIB;
const LATER_MS = 1_000;

/** One start after a kill. */
export interface RecoverySample {
  /** From the start of the process until /readyz answers 200. */
  readonly readyMs: number;
  /** Right then, and a second later. */
  readonly residentBytes: number;
  readonly residentLaterBytes: number;
  readonly peakBytes: number;
}

/** Starts with so much retained. */
export interface RecoveryCase {
  readonly retainedBytes: number;
  readonly retainedRecords: number;
  readonly samples: readonly RecoverySample[];
}

export interface RecoveryFigures {
  readonly little: RecoveryCase;
  readonly much: RecoveryCase;
}

/** Measured once a run, by the first row that asks. */
export function recoveryFigures(context: LogContext): Promise<RecoveryFigures> {
  context.shared.recovery ??= measure(context);
  return context.shared.recovery;
}

async function measure(context: LogContext): Promise<RecoveryFigures> {
  const much = await measureCase(context, await interleavedData(context));
  const data = await retain(context, "little", INTERLEAVED_TOPICS, LITTLE_BYTES);
  try {
    return { much, little: await measureCase(context, data) };
  } finally {
    await data.broker.remove();
  }
}

async function measureCase(context: LogContext, data: RetainedData): Promise<RecoveryCase> {
  let { bytes, records } = data;
  const samples: RecoverySample[] = [];
  const { shortRounds } = context.logPlan;
  try {
    for (let round = 0; round < shortRounds; round++) {
      context.progress.say(`${(bytes / 1e9).toFixed(1)} GB retained: start ${round + 1} of ${shortRounds}`);
      const added = await killUnderLoad(context, data);
      bytes += added.bytes;
      records += added.records;
      samples.push(await start(data));
      await data.broker.stop();
    }
  } catch (error) {
    throw data.broker.explain(error);
  } finally {
    await data.broker.stop();
  }
  return { retainedBytes: bytes, retainedRecords: records, samples };
}

/** What was acknowledged shortly before the kill. */
async function killUnderLoad(
  context: LogContext,
  data: RetainedData,
): Promise<{ bytes: number; records: number }> {
  const { broker, topics } = data;
  await broker.start();
  const generator = await startIngest(context, broker, topics, "open");
  try {
    const mark = await untilIngested(context, generator, BEFORE_KILL_BYTES);
    await broker.kill();
    return mark;
  } finally {
    await context.children.end(generator.pid);
  }
}

async function start({ broker }: RetainedData): Promise<RecoverySample> {
  const fromMs = monotonicMs();
  await broker.start();
  const readyMs = monotonicMs() - fromMs;
  const { pid } = broker.process;
  const resident = residentBytes(pid);
  await delay(LATER_MS);
  const later = residentBytes(pid);
  if (resident === undefined || later === undefined) throw new Error("the broker has ended after its start");
  return {
    readyMs,
    residentBytes: resident.now,
    residentLaterBytes: later.now,
    peakBytes: later.peak,
  };
}
