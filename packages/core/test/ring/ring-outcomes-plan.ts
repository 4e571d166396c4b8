/** What a thread of an outcome test does; see ring-outcomes.stress.ts. */
export type OutcomeRole = "publisher" | "reader" | "bystander" | "committer" | "unblocker";

export interface OutcomeWorkerData {
  readonly role: OutcomeRole;
  readonly kind: "one-to-one" | "many-to-one";
  readonly ring: SharedArrayBuffer;
  /** Words of the test: see OutcomeSignal. */
  readonly signals: SharedArrayBuffer;
  readonly parties: number;
  readonly publishers: number;
  readonly which: number;
  readonly rounds: number;
  readonly seed: number;
}

export const OutcomeSignal = {
  GATE: 0,
  NAP: 1,
  /** 1 when the reader has all records. */
  OVER: 2,
  /** Round for which a claim is open, and those that each side has ended, of the race between commit and unblock. */
  CLAIMED: 3,
  COMMITTED: 4,
  UNBLOCKED: 5,
  /** 1 when that side won its round. */
  COMMIT_WON: 6,
  UNBLOCK_WON: 7,
  WORDS: 8,
} as const;

/** How often each outcome was seen. */
export type OutcomeCounts = Record<string, number>;
export type OutcomeMessage = { readonly counts: OutcomeCounts } | { readonly failed: string };
