/** Time as the gateway sees it; tests bring their own. */
export interface Clock {
  /** ms since any fixed moment; never goes back. */
  monotonicMs(): number;
  /** ms since the epoch. */
  wallMs(): number;
  /** Runs `task` once, `delayMs` from now, unless the returned function is called first. Does not keep the process alive. */
  after(delayMs: number, task: () => void): () => void;
  /** Resolves `ms` from now. Keeps the process alive: somebody waits. */
  sleep(ms: number): Promise<void>;
  /** Runs `task` after the events of this turn of the loop. */
  soon(task: () => void): void;
}
