/** Time as the catalog's coordinator and followers need it; tests have their own. */
export interface CatalogTimer {
  monotonicMs(): number;
  /** @returns calls it off */
  after(ms: number, run: () => void): () => void;
}

/** Waits; resolves, and never rejects. */
export function pause(timer: CatalogTimer, ms: number): Promise<void> {
  return new Promise((resolve) => {
    timer.after(ms, resolve);
  });
}

/** Resolves with what `answer` does, or with undefined after so long. Rejects as it does. */
export function within<T>(timer: CatalogTimer, ms: number, answer: Promise<T>): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const cancel = timer.after(ms, () => resolve(undefined));
    answer.then(
      (value) => {
        cancel();
        resolve(value);
      },
      (error: unknown) => {
        cancel();
        reject(error instanceof Error ? error : new Error(String(error)));
      },
    );
  });
}

/** Times of the catalog in a cluster, in ms. */
export const CATALOG_TIMES = {
  /** A step that a change needs at a shard is tried again for so long while the shard is away … */
  shardAwayMs: 3_000,
  /** … every so often. */
  shardRetryMs: 25,
  /** Before a client is told that there is no such thing. */
  catchUpMs: 1_000,
  /** Least time from one question about the catalog's position to the next, which is for all who ask meanwhile. */
  catchUpGapMs: 5,
  /** What is being made is waited for, by whoever looks for it. */
  makingMs: 800,
  /** For the other nodes to have a change, before whoever asked for it is told that it is done. */
  everywhereMs: 250,
  /** For a coordinator, by whoever wants to change the catalog. */
  coordinatorMs: 3_000,
  /** For what was changed to arrive at the node that asked for it. */
  arrivalMs: 5_000,
  /** A change of the catalog, all steps together. */
  adminMs: 60_000,
  /** A page, or a position. */
  callMs: 5_000,
  /** From one attempt to load the catalog to the next, at first and at most. */
  reloadMsMin: 10,
  reloadMsMax: 500,
} as const;
