/** How long everything takes. */
export interface SuitePlan {
  readonly mode: "quick" | "default" | "full";
  readonly rounds: number;
  readonly warmUpMs: number;
  readonly durationMs: number;
  /** Longest that is waited for what is under way at the end of a window. */
  readonly drainMs: number;
  /** Records that are put into a log before they are read, of 1 KiB; others by their size. */
  readonly backlogBytes: number;
  /** Longest window of a row that writes to a disk, which ends earlier once enough is written; undefined: `durationMs`. */
  readonly steadyMs: number | undefined;
  /** Raw subjects stay out where the same broker takes part with its client. */
  readonly clientsOnly: boolean;
}

export interface PlanOptions {
  readonly mode: SuitePlan["mode"];
  readonly rounds: number | undefined;
  readonly warmUpMs: number | undefined;
  readonly durationMs: number | undefined;
  /** Whoever names subjects gets all of them. */
  readonly subjects: readonly string[];
}

const MIB = 1024 * 1024;

const PLANS: Readonly<Record<SuitePlan["mode"], Omit<SuitePlan, "mode" | "clientsOnly">>> = {
  quick: {
    rounds: 1,
    warmUpMs: 500,
    durationMs: 1_000,
    drainMs: 10_000,
    backlogBytes: 64 * MIB,
    steadyMs: undefined,
  },
  default: {
    rounds: 3,
    warmUpMs: 2_000,
    durationMs: 5_000,
    drainMs: 20_000,
    backlogBytes: 256 * MIB,
    steadyMs: undefined,
  },
  full: {
    rounds: 5,
    warmUpMs: 3_000,
    durationMs: 10_000,
    drainMs: 30_000,
    backlogBytes: 1024 * MIB,
    steadyMs: 60_000,
  },
};

export function planOf({ mode, rounds, warmUpMs, durationMs, subjects }: PlanOptions): SuitePlan {
  const plan = PLANS[mode];
  return {
    mode,
    ...plan,
    rounds: rounds ?? plan.rounds,
    warmUpMs: warmUpMs ?? plan.warmUpMs,
    durationMs: durationMs ?? plan.durationMs,
    clientsOnly: mode === "quick" && subjects.length === 0,
    // Whoever states a duration gets that one.
    steadyMs: durationMs === undefined ? plan.steadyMs : undefined,
  };
}
