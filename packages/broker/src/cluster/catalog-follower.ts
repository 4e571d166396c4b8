import { MillraceError } from "@millrace/protocol";
import { BROKER_LIMITS } from "../limits.ts";
import { type CatalogChange, catalogDifference } from "../node/catalog-change.ts";
import type { CatalogChanges } from "../node/catalog-changes.ts";
import { CatalogView } from "../node/catalog-view.ts";
import type { CatalogWanted } from "../node/gateway-port.ts";
import {
  type AdminReply,
  CATALOG_RPC,
  type CatalogMark,
  type CatalogPage,
  type CatalogPush,
  type CatalogSource,
  hasReached,
  isNotBegun,
} from "./catalog-feed.ts";
import { CATALOG_TIMES, type CatalogTimer, pause } from "./catalog-timing.ts";

export interface CatalogFollowerContext {
  /** The node's copy. */
  readonly catalog: CatalogView;
  readonly changes: CatalogChanges;
  /**
   * Shards that this node has open, from the moment on at which it has asked them to reconcile (see reconcileShard): they are
   * told of each change.
   */
  readonly isOwn: (shardId: number) => boolean;
  readonly timer: CatalogTimer;
  readonly log: (level: "info" | "warn", event: string, fields: Record<string, unknown>) => void;
  /** The copy has come to a mark of the coordinator. */
  readonly onReached?: () => void;
}

/** Pushes that are kept while the catalog is loaded; past it the load begins anew. */
const BUFFERED_MAX = 100_000;

interface Waiting {
  readonly isOver: () => boolean;
  readonly resolve: (arrived: boolean) => void;
}

/**
 * Keeps a node's copy of the catalog as the coordinator has it: takes its changes in order, and loads all of it when it may have
 * missed one. Every node has one, for as long as it runs. Main thread.
 *
 * - `follow(source)` when a newer map names another coordinator or another epoch of shard 0, and when the link to it comes up;
 *   `follow(undefined)` when that link is lost, or shard 0 has no owner;
 * - on the coordinator's own node `follow` with a source that calls the coordinator, CatalogCoordinator.start, then `leads`; what
 *   the coordinator does comes by `lead`, also while it starts. When it stops, `follow` whoever comes next;
 * - `onPush` with each push of CATALOG_EVENT, from any link;
 * - `await barrier` when any other shard than 0 was opened, and in the same turn reconcileShard and isOwn for it.
 */
export class CatalogFollower {
  readonly #context: CatalogFollowerContext;
  readonly #waiting: Set<Waiting> = new Set();
  #source: CatalogSource | undefined;
  /** What of the source's epoch is in the copy; undefined until it was loaded. */
  #mark: CatalogMark | undefined;
  /** The last epoch of which all was loaded; -1 = none was ever. */
  #loadedEpoch = -1;
  #buffered: CatalogPush[] | undefined;
  /** The source is this node's coordinator, and has started. */
  #leads = false;
  #lookup: Lookup | undefined;
  #nextLookup: Lookup | undefined;
  #lastLookupMs = Number.NEGATIVE_INFINITY;
  #isSayingSo = false;
  #isClosed = false;

  constructor(context: CatalogFollowerContext) {
    this.#context = context;
  }

  /** Whether the catalog was ever loaded. Until then the node knows of nothing, and is not ready. */
  get hasLoaded(): boolean {
    return this.#loadedEpoch >= 0;
  }

  /** Whether it takes the changes of the coordinator that the node knows of. */
  get isFollowing(): boolean {
    return this.#mark !== undefined;
  }

  /** Why the copy may be old, for /readyz and people; undefined while it follows. */
  get condition(): string | undefined {
    if (this.#mark !== undefined) return undefined;
    return this.#source === undefined
      ? "nobody coordinates the catalog, or it cannot be reached"
      : "the catalog is being loaded";
  }

  /** The coordinator is another one now, or is reached in another way; undefined: nobody is, or cannot be reached. */
  follow(source: CatalogSource | undefined): void {
    this.#source = source;
    this.#mark = undefined;
    this.#buffered = undefined;
    this.#leads = false;
    if (source === undefined || this.#isClosed) return;
    if (source.epoch < this.#loadedEpoch) {
      // It was deposed: its catalog may lack what is there by now.
      this.#source = undefined;
      return;
    }
    void this.#load(source);
  }

  close(): void {
    this.#isClosed = true;
    this.follow(undefined);
    for (const waiting of this.#waiting) waiting.resolve(false);
    this.#waiting.clear();
  }

  /** A change of the coordinator of this node. */
  lead(mark: CatalogMark, change: CatalogChange): void {
    this.#apply(change);
    if (this.#leads) this.#reached(mark);
  }

  /** The coordinator of this node has started: the copy is what it has taken over. */
  leads(mark: CatalogMark): void {
    if (this.#source?.epoch !== mark.epoch) return;
    // There is nothing to load.
    this.#buffered = undefined;
    this.#leads = true;
    this.#reached(mark);
  }

  /** What a link to any node has pushed; passed over where it is not the coordinator's. */
  onPush(payload: unknown): void {
    const push = payload as CatalogPush;
    const { mark } = push;
    if (this.#source === undefined || mark.epoch !== this.#source.epoch) return;
    if (this.#buffered !== undefined) {
      this.#buffered.push(push);
      return;
    }
    if (this.#mark !== undefined) this.#take(push);
  }

  /**
   * Waits until the copy has what was told at `mark`.
   * @returns false when it has not come in that time
   */
  reach(mark: CatalogMark, timeoutMs: number): Promise<boolean> {
    return this.#until(() => this.#mark !== undefined && hasReached(this.#mark, mark), timeoutMs);
  }

  /**
   * Brings the copy up to what was committed before this was called: see GatewayPort.catchUp. Questions of one moment are asked
   * together.
   * @throws MillraceError SHARD_RESTARTED when the coordinator cannot be asked in catchUpMs
   */
  async catchUp(wanted: CatalogWanted): Promise<void> {
    this.#nextLookup ??= this.#planLookup();
    this.#nextLookup.wanted.push(wanted);
    await this.#nextLookup.answered;
  }

  /**
   * The same without an end, for whoever opens a shard: what is not in the catalog then is dropped. Follow it by reconcileShard
   * in the same turn.
   * @throws the signal's reason
   */
  async barrier(signal: AbortSignal): Promise<void> {
    for (;;) {
      if (await this.#ask([], CATALOG_TIMES.catchUpMs, signal)) return;
      signal.throwIfAborted();
      // The coordinator may refuse at once.
      await pause(this.#context.timer, CATALOG_TIMES.shardRetryMs);
    }
  }

  /**
   * Has the coordinator change something, and waits until the copy has it.
   * @throws MillraceError as CatalogAdmin; SHARD_RESTARTED when it may have been done, or nobody coordinates
   */
  async admin(method: string, args: readonly unknown[]): Promise<unknown> {
    const { timer } = this.#context;
    const untilMs = timer.monotonicMs() + CATALOG_TIMES.coordinatorMs;
    for (;;) {
      const leftMs = untilMs - timer.monotonicMs();
      if (this.#source === undefined)
        await this.#until(() => this.#source !== undefined, Math.max(0, leftMs));
      const source = this.#source;
      if (source === undefined) throw unreachable("the catalog cannot be changed");
      try {
        const asked = [source.epoch, method, ...args];
        const reply = (await source.call(CATALOG_RPC.ADMIN, asked, CATALOG_TIMES.adminMs)) as AdminReply;
        await this.reach(reply.mark, CATALOG_TIMES.arrivalMs);
        return reply.value;
      } catch (error) {
        if (!isNotBegun(error) || timer.monotonicMs() >= untilMs) throw error;
      }
      // It does not coordinate yet, or any more.
      await pause(timer, CATALOG_TIMES.shardRetryMs);
    }
  }

  // ---- questions ----

  #planLookup(): Lookup {
    const lookup: Lookup = { wanted: [], answered: Promise.resolve() };
    lookup.answered = this.#runLookup(lookup);
    return lookup;
  }

  async #runLookup(lookup: Lookup): Promise<void> {
    const { timer } = this.#context;
    // Whoever comes while one is under way may look for what was made since: it is for the next one.
    await this.#lookup?.answered.catch(() => {});
    const waitMs = this.#lastLookupMs + CATALOG_TIMES.catchUpGapMs - timer.monotonicMs();
    if (waitMs > 0) await pause(timer, waitMs);
    this.#lastLookupMs = timer.monotonicMs();
    this.#nextLookup = undefined;
    this.#lookup = lookup;
    try {
      const caughtUp = await this.#ask(lookup.wanted, CATALOG_TIMES.catchUpMs);
      if (!caughtUp) throw unreachable("whether there is such a thing cannot be said");
    } finally {
      if (this.#lookup === lookup) this.#lookup = undefined;
    }
  }

  /** Asks the coordinator for its mark, and waits for it; again when the coordinator is lost or another one. */
  async #ask(wanted: readonly CatalogWanted[], timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    const { timer } = this.#context;
    const untilMs = timer.monotonicMs() + timeoutMs;
    for (;;) {
      const leftMs = untilMs - timer.monotonicMs();
      if (leftMs <= 0 || this.#isClosed || signal?.aborted === true) return false;
      if (!(await this.#until(() => this.#source !== undefined, leftMs))) return false;
      const source = this.#source as CatalogSource;
      let mark: CatalogMark;
      try {
        const callMs = Math.max(1, untilMs - timer.monotonicMs());
        mark = (await source.call(CATALOG_RPC.POSITION, [source.epoch, wanted], callMs)) as CatalogMark;
      } catch {
        // It is lost, or does not coordinate any more: another one will.
        await pause(timer, CATALOG_TIMES.shardRetryMs);
        continue;
      }
      return this.reach(mark, Math.max(1, untilMs - timer.monotonicMs()));
    }
  }

  #until(isOver: () => boolean, timeoutMs: number): Promise<boolean> {
    if (isOver()) return Promise.resolve(true);
    if (this.#isClosed) return Promise.resolve(false);
    return new Promise((resolve) => {
      const waiting: Waiting = {
        isOver,
        resolve: (arrived) => {
          cancel();
          this.#waiting.delete(waiting);
          resolve(arrived);
        },
      };
      const cancel = this.#context.timer.after(timeoutMs, () => waiting.resolve(false));
      this.#waiting.add(waiting);
    });
  }

  #wake(): void {
    for (const waiting of this.#waiting) if (waiting.isOver()) waiting.resolve(true);
  }

  // ---- changes ----

  #apply(change: CatalogChange): void {
    const { changes, isOwn, log } = this.#context;
    changes.apply(change, isOwn).catch((error: unknown) => {
      log("warn", "catalog-change-refused", { change: change.kind, error: String(error) });
    });
  }

  #take(push: CatalogPush): void {
    const { mark, change } = push;
    const { sequence } = this.#mark as CatalogMark;
    if (mark.sequence <= sequence) return;
    if (mark.sequence > sequence + 1) {
      this.#context.log("warn", "catalog-change-missed", { ...mark, known: sequence });
      this.follow(this.#source);
      return;
    }
    this.#apply(change);
    this.#reached(mark);
  }

  #reached(mark: CatalogMark): void {
    this.#mark = mark;
    this.#loadedEpoch = mark.epoch;
    this.#wake();
    if (!this.#leads) this.#sayHowFar();
    this.#context.onReached?.();
  }

  /** The coordinator waits for it; once for all changes that come together. */
  #sayHowFar(): void {
    if (this.#isSayingSo) return;
    this.#isSayingSo = true;
    queueMicrotask(() => {
      this.#isSayingSo = false;
      const source = this.#source;
      if (source === undefined || this.#mark === undefined) return;
      const { epoch, sequence } = this.#mark;
      source.call(CATALOG_RPC.REACHED, [epoch, sequence], CATALOG_TIMES.callMs).catch(() => {});
    });
  }

  async #load(source: CatalogSource): Promise<void> {
    const { timer, log } = this.#context;
    for (let waitMs: number = CATALOG_TIMES.reloadMsMin; this.#loads(source); ) {
      this.#wake();
      const buffered: CatalogPush[] = [];
      this.#buffered = buffered;
      try {
        const loaded = await this.#pages(source, buffered);
        if (!this.#loads(source) || this.#buffered !== buffered) return;
        this.#buffered = undefined;
        this.#adopt(loaded, buffered);
        return;
      } catch (error) {
        if (!this.#loads(source) || this.#buffered !== buffered) return;
        // One that has not started yet is not worth a line.
        if (!isNotBegun(error))
          log("info", "catalog-not-loaded", { epoch: source.epoch, error: String(error) });
      }
      await pause(timer, waitMs);
      waitMs = Math.min(waitMs * 2, CATALOG_TIMES.reloadMsMax);
    }
  }

  /** What the coordinator of this node does comes by lead(): what is loaded beside that may be older. */
  #loads(source: CatalogSource): boolean {
    return this.#source === source && !this.#leads;
  }

  async #pages(source: CatalogSource, buffered: readonly CatalogPush[]): Promise<LoadedCatalog> {
    const found = new CatalogView();
    let first: CatalogMark | undefined;
    let topicsAfter = 0;
    let subscriptionsAfter = 0;
    for (;;) {
      const args = [source.epoch, topicsAfter, subscriptionsAfter];
      const page = (await source.call(CATALOG_RPC.PAGE, args, CATALOG_TIMES.callMs)) as CatalogPage;
      first ??= page.mark;
      if (page.mark.epoch !== source.epoch) throw unreachable("the catalog is another coordinator's");
      if (buffered.length > BUFFERED_MAX) throw unreachable("the catalog changes too fast to be loaded");
      const unmade = new Set(page.unmade);
      for (const topic of page.topics) {
        found.add(topic, !unmade.has(topic.topicId));
        topicsAfter = topic.topicId;
      }
      for (const subscription of page.subscriptions) {
        // Its topic may have been deleted from one page to the next.
        if (found.byId(subscription.topicId) !== undefined) found.addSubscription(subscription);
        subscriptionsAfter = subscription.subscriptionId;
      }
      if (page.isLast) return { found, mark: first };
    }
  }

  /** What was told meanwhile makes the pages one whole. */
  #adopt({ found, mark }: LoadedCatalog, buffered: readonly CatalogPush[]): void {
    const { catalog, log } = this.#context;
    const source = this.#source;
    const changes = catalogDifference(catalog, found);
    for (const change of changes) this.#apply(change);
    log("info", "catalog-loaded", { ...mark, changes: changes.length });
    this.#mark = mark;
    for (const push of buffered) {
      this.#take(push);
      // One was missed, and all is loaded anew.
      if (this.#mark === undefined || this.#source !== source) return;
    }
    this.#reached(this.#mark);
  }
}

interface Lookup {
  readonly wanted: CatalogWanted[];
  answered: Promise<void>;
}

interface LoadedCatalog {
  readonly found: CatalogView;
  readonly mark: CatalogMark;
}

function unreachable(consequence: string): MillraceError {
  return new MillraceError(
    "SHARD_RESTARTED",
    `the coordinator of the catalog cannot be reached: ${consequence}`,
    {
      details: { shardId: 0, retryAfterMs: BROKER_LIMITS.retryAfterMs },
    },
  );
}
