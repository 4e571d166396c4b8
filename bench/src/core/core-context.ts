import type { RunContext } from "../harness/bench-row.ts";
import type { NativePeer } from "./native-peer.ts";

/** What every row of the suite works with. */
export interface CoreContext extends RunContext {
  readonly native: NativePeer;
  /** Samples that several rows are about are taken once; key: what was sampled. */
  readonly shared: Map<string, Promise<unknown>>;
}

/** Samples of `key`, taken by the first row that asks. */
export function takenOnce<T>(context: CoreContext, key: string, take: () => Promise<T>): Promise<T> {
  const taken = (context.shared.get(key) as Promise<T> | undefined) ?? take();
  context.shared.set(key, taken);
  return taken;
}
