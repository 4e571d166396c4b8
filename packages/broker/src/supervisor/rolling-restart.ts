/** What a rolling restart has to know of the nodes. */
export interface RestartView {
  /** It answers, and does as it is told. */
  isUp(nodeId: number): boolean;
  hasProcess(nodeId: number): boolean;
  /** It has none, and will get one by itself. */
  isWaiting(nodeId: number): boolean;
  /** It is running, and none of the deaths that it has had is being waited out. */
  isReady(nodeId: number): boolean;
  /** It will not come back by itself. */
  isGivenUp(nodeId: number): boolean;
  /** It may have shards open. */
  hasShards(nodeId: number): boolean;
  /** Another node could take its shards, now or in a while. */
  hasOthers(nodeId: number): boolean;
  /** No shard is on its way, and none will be as things stand. */
  readonly isSettled: boolean;
  /** Why a node could not give its shards to others, nor serve again, whatever is waited for. */
  readonly obstacle: string | undefined;
}

/** What is to be done with a node next. */
export type RestartStep =
  /** Its shards are to be taken away. */
  | { readonly kind: "leave"; readonly nodeId: number }
  | { readonly kind: "drain"; readonly nodeId: number }
  | { readonly kind: "start"; readonly nodeId: number }
  /** It gets its share again. */
  | { readonly kind: "return"; readonly nodeId: number }
  | { readonly kind: "restarted"; readonly nodeId: number };

/**
 * Restarts nodes one after the other: each is emptied, drained, started again and given its share back before the next one's
 * turn. A node alone is not emptied: it closes its shards itself, and nothing is served until it is back.
 */
export class RollingRestart {
  readonly #queue: number[];
  #nodeId: number | undefined;
  #step: "emptying" | "ending" | "starting" | "returning" = "emptying";
  #failure: string | undefined;

  constructor(nodeIds: readonly number[]) {
    this.#queue = [...nodeIds];
  }

  get isDone(): boolean {
    return this.#failure !== undefined || (this.#nodeId === undefined && this.#queue.length === 0);
  }

  /** Why it ended before its time. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** The node whose turn it is, or was when it failed. */
  get nodeId(): number | undefined {
    return this.#nodeId;
  }

  /** The node whose shards are being taken away. */
  get emptying(): number | undefined {
    return this.#step === "emptying" ? this.#nodeId : undefined;
  }

  /** Its process is there no longer, whatever made it end: that is what a restart is about. */
  nodeGone(nodeId: number): void {
    if (nodeId === this.#nodeId && this.#step !== "returning") this.#step = "starting";
  }

  /** The next step, if it is time for one; ask again until there is none. */
  next(view: RestartView): RestartStep | undefined {
    if (this.#nodeId === undefined) return this.#begin(view);
    const nodeId = this.#nodeId;
    // One that ends for this is started again all the same.
    const isThere = view.hasProcess(nodeId) || view.isWaiting(nodeId) || view.isGivenUp(nodeId);
    if (view.obstacle !== undefined && this.#step !== "ending" && isThere) {
      this.#failure = view.obstacle;
      return undefined;
    }
    if (this.#step === "emptying") {
      if (!view.isUp(nodeId)) return undefined;
      if (view.hasOthers(nodeId) && view.hasShards(nodeId)) return undefined;
      this.#step = "ending";
      return { kind: "drain", nodeId };
    }
    if (this.#step === "starting") {
      if (view.isGivenUp(nodeId)) {
        this.#failure = `node ${nodeId} did not come back`;
        return undefined;
      }
      if (!view.hasProcess(nodeId) && !view.isWaiting(nodeId)) return { kind: "start", nodeId };
      if (!view.isReady(nodeId)) return undefined;
      this.#step = "returning";
      return { kind: "return", nodeId };
    }
    if (this.#step === "returning" && view.isSettled) {
      this.#nodeId = undefined;
      return { kind: "restarted", nodeId };
    }
    return undefined;
  }

  #begin(view: RestartView): RestartStep | undefined {
    // What is on its way arrives first: two things at once are harder to survive.
    if (!view.isSettled && this.#queue.some((nodeId) => view.isReady(nodeId))) return undefined;
    const nodeId = this.#queue.shift();
    if (nodeId === undefined) return undefined;
    this.#nodeId = nodeId;
    this.#step = view.hasProcess(nodeId) ? "emptying" : "starting";
    return { kind: "leave", nodeId };
  }
}
