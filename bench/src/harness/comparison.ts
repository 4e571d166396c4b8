import { spreadOf } from "@millrace/load/internal";
import { GENERATOR_SHARE_MAX, type RowOutcome, type RunContext } from "./bench-row.ts";
import { flushFileSystem } from "./file-system.ts";
import { type SampleSet, type Subject, sampleAlternating } from "./sampling.ts";
import { formatCosts, formatDisturbance, formatSpread } from "./terminal.ts";

export interface ComparisonOptions {
  /** What the printed rates count; the ratio is the same. */
  readonly unit: "records" | "bytes";
  /** The generators' load is judged at the yardstick's rate, or at the broker's where that has none (a disk). */
  readonly generatorsAt: "yardstick" | "broker";
}

/** Samples yardstick and broker in turn and puts their ratio together with everything it rests on. */
export async function compare(
  context: RunContext,
  yardstick: Subject,
  broker: Subject,
  options: ComparisonOptions,
): Promise<RowOutcome> {
  const sets = await sampleAlternating([yardstick, broker], context.plan, context.progress.say, () =>
    flushFileSystem(context),
  );
  const [yardstickSet, brokerSet] = sets as [SampleSet, SampleSet];
  return outcomeOf(yardstickSet, brokerSet, options);
}

/** The ratio of two subjects that were sampled in turn, and what it rests on. */
export function outcomeOf(
  yardstickSet: SampleSet,
  brokerSet: SampleSet,
  options: ComparisonOptions,
): RowOutcome {
  const sets = [yardstickSet, brokerSet];
  const measuredRatio = brokerSet.recordsPerSecond.median / yardstickSet.recordsPerSecond.median;
  const generatorShare = (options.generatorsAt === "yardstick" ? yardstickSet : brokerSet).generatorShare;
  const counts = generatorShare < GENERATOR_SHARE_MAX;
  const ratio =
    counts || options.generatorsAt === "broker" ? measuredRatio : measuredRatio * fullCore(yardstickSet);
  // Round by round, neighbours in time: how far the ratio itself swings.
  const perRound = spreadOf(
    brokerSet.recordsPerSecond.samples.map(
      (sample, round) => sample / (yardstickSet.recordsPerSecond.samples[round] as number),
    ),
  );
  return {
    ratio,
    counts,
    raw: {
      unit: options.unit,
      measuredRatio,
      ratioPerRound: perRound,
      generatorShare,
      yardstick: yardstickSet,
      broker: brokerSet,
    },
    details: [
      `${rate(yardstickSet, options.unit)}, ${rate(brokerSet, options.unit)}`,
      `ratio by round ${perRound.min.toFixed(3)}..${perRound.max.toFixed(3)}; generator at ` +
        `${percent(generatorShare)} of its core at the ${options.generatorsAt}'s rate`,
      ...(counts ? [] : [tooBusy(yardstickSet, options, measuredRatio)]),
      ...formatDisturbance(sets),
      ...formatCosts(brokerSet.cpu).map((line) => `with ${nameOf(brokerSet)}: ${line}`),
      ...formatCosts(yardstickSet.cpu).map((line) => `with ${yardstickSet.subject}: ${line}`),
    ],
  };
}

/**
 * What is left of a ratio when the yardstick is taken at the rate that it would have with all of its core. A
 * generator that is too busy may hold the yardstick back, and that much is the most that it can hide.
 */
function fullCore(yardstick: SampleSet): number {
  return yardstick.yardstickShare > 0 ? Math.min(1, yardstick.yardstickShare) : 1;
}

function tooBusy(yardstick: SampleSet, options: ComparisonOptions, measuredRatio: number): string {
  const limit = `that is over ${percent(GENERATOR_SHARE_MAX)}`;
  if (options.generatorsAt === "broker")
    return `${limit} and may hold the broker back: the ratio is a lower bound`;
  return (
    `${limit} and may hold the yardstick back, which at ${percent(yardstick.yardstickShare)} of its core is taken ` +
    `at the rate of a whole one; as measured the ratio is ${measuredRatio.toFixed(3)}`
  );
}

function nameOf({ subject }: SampleSet): string {
  return subject === "broker" ? "the broker" : subject;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

function rate(set: SampleSet, unit: ComparisonOptions["unit"]): string {
  return unit === "bytes"
    ? `${set.subject} ${formatSpread(set.bytesPerSecond, 1e6, "MB/s")}`
    : `${set.subject} ${formatSpread(set.recordsPerSecond, 1e6, "M records/s")}`;
}
