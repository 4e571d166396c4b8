import type { Test } from "tap";
import { monotonicMs } from "./clock.ts";
import type { HistoryWriter } from "./history/history-file.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { pauseMs } from "./waiting.ts";

/** Told of what is done, when it is done. */
export type Tell = (action: string, target: string) => void;

/** Something that can be done to a broker, again and again, while it works. */
export interface ChaosAction {
  readonly name: string;
  /** How often it is chosen, against the others. */
  readonly weight: number;
  /** Resolves when the next thing may be done. */
  run(random: SeededRandom, tell: Tell): Promise<void>;
}

export interface ChaosOptions {
  readonly actions: readonly ChaosAction[];
  readonly random: SeededRandom;
  readonly history: HistoryWriter;
  readonly durationMs: number;
  /** Between two actions, at most. */
  readonly pauseMsMax: number;
}

/**
 * Does one thing after the other, as the seed says, until the time is over. What is done comes again with the seed, except for the
 * moments. @returns how many things were done
 */
export async function causeChaos(t: Test, options: ChaosOptions): Promise<number> {
  const { actions, random, history, durationMs, pauseMsMax } = options;
  const endMs = monotonicMs() + durationMs;
  let count = 0;
  for (; count === 0 || monotonicMs() < endMs; count += 1) {
    await pauseMs(random.between(50, pauseMsMax));
    await chosen(actions, random).run(random, (action, target) => {
      t.comment(`chaos: ${action} ${target}`);
      history.write({ what: "chaos", action, target });
    });
  }
  return count;
}

function chosen(actions: readonly ChaosAction[], random: SeededRandom): ChaosAction {
  let at = random.below(actions.reduce((sum, { weight }) => sum + weight, 0));
  for (const action of actions) {
    if (at < action.weight) return action;
    at -= action.weight;
  }
  throw new Error("no action has any weight");
}
