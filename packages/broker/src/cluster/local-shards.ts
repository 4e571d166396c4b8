import type { GatewayLink } from "../node/gateway-link.ts";
import type { RecoveredShard } from "../thread/thread-messages.ts";
import type { NodeShard } from "./control-messages.ts";
import { NodeControlFailure } from "./node-control.ts";

/** A shard that its thread has recovered. */
export interface OpenedShard {
  readonly recovered: RecoveredShard;
  /** Its rings, of this opening alone. */
  readonly link: GatewayLink;
}

export interface LocalShardsOptions {
  /** See ShardThreads, as for close(). */
  readonly open: (shardId: number) => Promise<OpenedShard>;
  readonly close: (shardId: number) => Promise<unknown>;
  /** Its rings are there, and the node alone may ask it through them; or (undefined) are no longer, and nothing is answered. */
  readonly onLink: (shardId: number, link: GatewayLink | undefined) => void;
  /** Brings it up to date with the catalog. Rejects when it cannot be served, and soon after the signal. */
  readonly prepare: (opened: OpenedShard, signal: AbortSignal) => Promise<void>;
  /** It is served. */
  readonly onUp: (shardId: number, epoch: number) => void;
  /** It is given nothing more; what it still says is heard. */
  readonly onClosing: (shardId: number) => void;
  /** It has said its last, or was lost. */
  readonly onDown: (shardId: number) => void;
  /** It was lost with its thread, and is served again. */
  readonly onReturned: (shardId: number, epoch: number) => void;
  /** It was lost and recovered, and cannot be served: it is here no longer. */
  readonly onNotReturned: (shardId: number, error: unknown) => void;
  /** drain() has closed it. */
  readonly onDrained: (shardId: number) => void;
}

interface LocalShard {
  readonly shardId: number;
  state: NodeShard["state"] | "absent";
  epoch: number;
  /** What is asked about it is done one after the other. Never rejects. */
  tail: Promise<unknown>;
  /** Of openings that are under way or wait. */
  readonly openings: Set<AbortController>;
  /** It was lost, and its threads open it again; undefined comes of it when they cannot. */
  returning: Return | undefined;
}

interface Return {
  isSettled: boolean;
  readonly opened: Promise<OpenedShard | undefined>;
  readonly settle: (opened: OpenedShard | undefined) => void;
}

/**
 * The shards that this node opens and closes for its supervisor. What is asked about one shard is done one after the other, in
 * the order asked; a close breaks off the openings that were asked for before it. Nothing depends on whether whoever asked is
 * still there. Main thread.
 */
export class LocalShards {
  readonly #options: LocalShardsOptions;
  readonly #shards: Map<number, LocalShard> = new Map();
  #draining = false;
  #terminated = false;

  constructor(options: LocalShardsOptions) {
    this.#options = options;
  }

  list(): NodeShard[] {
    const shards: NodeShard[] = [];
    for (const { shardId, state, epoch } of this.#shards.values()) {
      if (state !== "absent") shards.push({ shardId, state, epoch });
    }
    return shards;
  }

  /** Those that are served. */
  get served(): NodeShard[] {
    return this.list().filter(({ state }) => state === "open");
  }

  isOpen(shardId: number): boolean {
    return this.#shards.get(shardId)?.state === "open";
  }

  /** Of the opening that is served; 0 = none is. */
  epochOf(shardId: number): number {
    const shard = this.#shards.get(shardId);
    return shard?.state === "open" ? shard.epoch : 0;
  }

  /** See NodeRequests.open. */
  open(shardId: number): Promise<{ epoch: number; recoveryMs: number }> {
    if (this.#draining) throw new NodeControlFailure("DRAINING", "the node ends: it opens nothing");
    const shard = this.#shard(shardId);
    return this.#opening(shard, (signal) => this.#open(shard, signal));
  }

  /** See NodeRequests.close. */
  close(shardId: number): Promise<void> {
    const shard = this.#shard(shardId);
    for (const opening of shard.openings) opening.abort();
    return this.#inTurn(shard, () => this.#close(shard));
  }

  /** Closes all, opens none any more. */
  async drain(): Promise<void> {
    this.#draining = true;
    await Promise.all(
      [...this.#shards.values()].map(async ({ shardId, state, openings }) => {
        const isHeld = state !== "absent" || openings.size > 0;
        await this.close(shardId);
        if (isHeld) this.#options.onDrained(shardId);
      }),
    );
  }

  /** The threads end where they stand: what is being opened is given up, and nothing waits for them any more. */
  terminate(): void {
    this.#draining = true;
    this.#terminated = true;
    for (const { openings } of this.#shards.values()) {
      for (const opening of openings) opening.abort();
    }
  }

  // What the threads tell.

  /** It was lost with its thread, and is opened again: returned() or gone() follows, or this once more. */
  lost(shardId: number): void {
    const shard = this.#shard(shardId);
    this.#options.onLink(shardId, undefined);
    // It was lost before it had returned: whoever waits for that waits on.
    if (shard.returning?.isSettled === false) return;
    const returning = newReturn();
    shard.returning = returning;
    // One that is being prepared goes on with what returns.
    if (shard.state !== "open") return;
    shard.state = "opening";
    this.#options.onDown(shardId);
    this.#opening(shard, (signal) => this.#return(shard, returning, signal)).catch((error: unknown) => {
      if (!isAborted(error)) this.#options.onNotReturned(shardId, error);
    });
  }

  /** It was lost, and is recovered. */
  returned(opened: OpenedShard): void {
    const { shardId } = opened.recovered;
    const { returning } = this.#shard(shardId);
    // It was closed meanwhile.
    if (returning === undefined) return;
    this.#options.onLink(shardId, opened.link);
    returning.settle(opened);
  }

  /** Its journal failed, or somebody else owns it. @returns the epoch that it was served with; 0 = it was not */
  gone(shardId: number): number {
    const shard = this.#shard(shardId);
    const epoch = this.epochOf(shardId);
    if (shard.state === "open") shard.state = "absent";
    this.#options.onLink(shardId, undefined);
    // What is under way for it fails: nothing is answered any more.
    shard.returning?.settle(undefined);
    return epoch;
  }

  async #open(shard: LocalShard, signal: AbortSignal): Promise<{ epoch: number; recoveryMs: number }> {
    const { shardId } = shard;
    requireGoing(signal, shardId);
    // Lost since it was asked for: it is waited for here, and whoever waits for its turn to do so finds it done.
    if (shard.state === "opening" && shard.returning !== undefined) {
      await this.#return(shard, shard.returning, signal);
    }
    if (shard.state === "open") return { epoch: shard.epoch, recoveryMs: 0 };
    shard.state = "opening";
    shard.epoch = 0;
    try {
      const opened = await this.#options.open(shardId);
      this.#options.onLink(shardId, opened.link);
      const { epoch, recoveryMs } = (await this.#bringUp(shard, opened, signal)).recovered;
      return { epoch, recoveryMs };
    } catch (error) {
      await this.#giveBack(shard);
      throw signal.aborted ? aborted(shardId) : error;
    }
  }

  async #return(shard: LocalShard, returning: Return, signal: AbortSignal): Promise<void> {
    const { shardId } = shard;
    const opened = await returning.opened;
    if (shard.returning === returning) shard.returning = undefined;
    // It was closed by somebody who had asked for that before it was lost.
    if (shard.state !== "opening") return;
    // Its threads could not open it again: gone() was told why.
    if (opened === undefined) {
      shard.state = "absent";
      return;
    }
    try {
      const { epoch } = (await this.#bringUp(shard, opened, signal)).recovered;
      this.#options.onReturned(shardId, epoch);
    } catch (error) {
      await this.#giveBack(shard);
      throw signal.aborted ? aborted(shardId) : error;
    }
  }

  /** Until it is served; should its thread be lost meanwhile, with what the next one has recovered. */
  async #bringUp(shard: LocalShard, recovered: OpenedShard, signal: AbortSignal): Promise<OpenedShard> {
    const { shardId } = shard;
    for (let opened = recovered; ; ) {
      requireGoing(signal, shardId);
      shard.epoch = opened.recovered.epoch;
      let failure: unknown;
      try {
        await this.#options.prepare(opened, signal);
      } catch (error) {
        failure = error;
      }
      const { returning } = shard;
      if (returning !== undefined) {
        const again = await returning.opened;
        if (shard.returning === returning) shard.returning = undefined;
        if (again === undefined) throw failure ?? notReturned(shardId);
        opened = again;
        continue;
      }
      if (failure !== undefined) throw failure;
      requireGoing(signal, shardId);
      shard.state = "open";
      this.#options.onUp(shardId, shard.epoch);
      return opened;
    }
  }

  async #close(shard: LocalShard): Promise<void> {
    const { shardId } = shard;
    if (shard.state === "absent") return;
    await settledReturn(shard);
    shard.state = "closing";
    this.#options.onClosing(shardId);
    // One that cannot be closed in order is as if the process had ended: the next owner's epoch fences it.
    await this.#options.close(shardId).catch(() => {});
    shard.state = "absent";
    shard.returning = undefined;
    this.#options.onDown(shardId);
    this.#options.onLink(shardId, undefined);
  }

  /** What could not be served. */
  async #giveBack(shard: LocalShard): Promise<void> {
    const { shardId } = shard;
    if (!this.#terminated) {
      await settledReturn(shard);
      // What went wrong first is what counts.
      await this.#options.close(shardId).catch(() => {});
    }
    this.#options.onLink(shardId, undefined);
    shard.returning = undefined;
    shard.state = "absent";
  }

  async #opening<T>(shard: LocalShard, step: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const opening = new AbortController();
    shard.openings.add(opening);
    try {
      return await this.#inTurn(shard, () => step(opening.signal));
    } finally {
      shard.openings.delete(opening);
    }
  }

  #inTurn<T>(shard: LocalShard, step: () => Promise<T>): Promise<T> {
    const done = shard.tail.then(step);
    shard.tail = done.catch(() => {});
    return done;
  }

  /** Entries stay: they are small, and at most one a shard. */
  #shard(shardId: number): LocalShard {
    let shard = this.#shards.get(shardId);
    if (shard === undefined) {
      const openings = new Set<AbortController>();
      shard = { shardId, state: "absent", epoch: 0, tail: Promise.resolve(), openings, returning: undefined };
      this.#shards.set(shardId, shard);
    }
    return shard;
  }
}

/** Nobody may open it elsewhere while its threads still do here. */
async function settledReturn(shard: LocalShard): Promise<void> {
  for (let { returning } = shard; returning !== undefined; { returning } = shard) {
    await returning.opened;
    if (shard.returning === returning) shard.returning = undefined;
  }
}

function newReturn(): Return {
  let resolve: (opened: OpenedShard | undefined) => void = () => {};
  const opened = new Promise<OpenedShard | undefined>((fulfil) => {
    resolve = fulfil;
  });
  const returning: Return = {
    isSettled: false,
    opened,
    settle: (shard) => {
      returning.isSettled = true;
      resolve(shard);
    },
  };
  return returning;
}

function requireGoing(signal: AbortSignal, shardId: number): void {
  if (signal.aborted) throw aborted(shardId);
}

function aborted(shardId: number): NodeControlFailure {
  return new NodeControlFailure(
    "ABORTED",
    `the shard was closed while it was being opened: shardId=${shardId}`,
  );
}

function isAborted(error: unknown): boolean {
  return error instanceof NodeControlFailure && error.code === "ABORTED";
}

function notReturned(shardId: number): Error {
  return new Error(`the shard was lost with its thread, and did not come back: shardId=${shardId}`);
}
