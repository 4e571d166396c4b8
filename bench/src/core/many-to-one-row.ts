import type { BenchRow } from "../harness/bench-row.ts";
import type { CoreContext } from "./core-context.ts";
import { CORES } from "./samples-in-turn.ts";
import { compareRates, sampleTransfers } from "./transfer-samples.ts";

const RECORD_BYTES = 128;
const PRODUCERS = 3;
const THREADS: number = PRODUCERS + 1;
/** What is left of the one-to-one rate when producers contend, and when they wait for each other's cores as well. */
const TARGET = 0.5;
const TARGET_CROWDED = 0.35;

/** Both wait by the package's yielding strategy: with more threads than cores a spinning one keeps the others from working. */
export const manyToOneRow: BenchRow<CoreContext> = {
  name: "many-to-one-3",
  description: `${RECORD_BYTES} B, ${PRODUCERS} producers together, each record published alone, against one-to-one in batches`,
  target: CORES < THREADS ? TARGET_CROWDED : TARGET,
  sense: "at-least",
  run: async (context) => {
    const rates = await sampleTransfers(context, RECORD_BYTES, {
      "many-to-one": { carrier: "many-to-one", producers: PRODUCERS, waiting: "yield" },
      "one-to-one": { carrier: "ring-write", waiting: "yield" },
      "many-to-one, one producer": { carrier: "many-to-one", waiting: "yield" },
      "one-to-one, each alone": { carrier: "ring-write", batchRecords: 1, waiting: "yield" },
    });
    const outcome = compareRates(rates, "many-to-one", "one-to-one");
    const one = compareRates(rates, "many-to-one, one producer", "one-to-one, each alone");
    return {
      ...outcome,
      raw: { ...outcome.raw, threads: THREADS, cores: CORES, withOneProducer: one.raw },
      details: [
        ...outcome.details,
        `${THREADS} threads on ${CORES} cores`,
        `both with one producer that publishes each record: ${one.details[0]}`,
      ],
    };
  },
};
