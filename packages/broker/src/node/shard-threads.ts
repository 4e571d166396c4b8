import type { BackgroundJob } from "@millrace/journal";
import { MillraceError } from "@millrace/protocol";
import type { LinkBuffers } from "../link/link-buffers.ts";
import { LinkPool } from "../link/link-pool.ts";
import type { Logger } from "../logger.ts";
import { SYSTEM_CLOCK } from "../system-clock.ts";
import { buffersOf } from "../thread/job-outcome.ts";
import type {
  FromShardThread,
  RecoveredShard,
  ShardError,
  ShardStorageSizes,
} from "../thread/thread-messages.ts";
import { BackgroundPool } from "./background-pool.ts";
import { shardDirectory, shardsDirectory } from "./data-folder.ts";
import type { DiskLook } from "./disk-watch.ts";
import { GatewayLink } from "./gateway-link.ts";
import type { OutboundReader, ReplyHandler } from "./outbound-reader.ts";
import { ReaderThread } from "./reader-thread.ts";
import { RestartBudget } from "./restart-budget.ts";
import { ShardThread } from "./shard-thread.ts";

export interface OpenedShard {
  readonly recovered: RecoveredShard;
  /** Fresh rings, of this opening alone. */
  readonly link: GatewayLink;
}

export interface ClosedShard {
  /** The next owner starts where it stood; else it was let go of as if the process had ended. */
  readonly clean: boolean;
}

/** What a node is told of the shards that it has open, unasked. None of these may throw. */
export interface ShardThreadsHandler {
  /** Something stands in a ring for the gateway. */
  onPoke(): void;
  /**
   * The shard was lost with its thread, or threw: its link is dead, and what stands in it is not answered. It is being opened
   * again: onShardsReopened, onShardFailed or onShardFenced follows, or this once more should it be lost before that.
   */
  onShardDown(shardId: number): void;
  /** Those that were lost together are open again, with later epochs. Resolves when they serve. */
  onShardsReopened(opened: readonly OpenedShard[]): Promise<void>;
  /** Its journal failed, or it could not be opened again: it is closed, and its link is dead. */
  onShardFailed(shardId: number, error: MillraceError): void;
  /** Another owner has opened it: it is closed, and its link is dead. */
  onShardFenced(shardId: number, error: MillraceError): void;
}

export interface ShardThreadsOptions {
  readonly dataDir: string;
  /** Of the data folder, open here or not. */
  readonly shardCount: number;
  readonly threads: number;
  readonly gatewayDoorbell: SharedArrayBuffer;
  readonly replies: ReplyHandler;
  readonly storage: ShardStorageSizes;
  readonly logger: Logger;
  readonly handler: ShardThreadsHandler;
}

/** A shard that was asked for, until it is closed or has failed. */
interface PlacedShard {
  readonly shardId: number;
  readonly thread: number;
  /** `reopening`: it was open and lost; whoever asked for it has been answered long ago. */
  state: "opening" | "reopening" | "open" | "closing";
  buffers: LinkBuffers;
  /** Of the opening that it has now; undefined while it has none. */
  link: GatewayLink | undefined;
  /** Undefined: it was lost while it was reopened. */
  opening: Settling<OpenedShard | undefined> | undefined;
  closing: Settling<ClosedShard> | undefined;
}

interface Settling<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: MillraceError) => void;
}

/**
 * The threads of a node that work for its shards: shard threads, among which the shards that are open are spread, the reader
 * thread and the pool. Opens and closes single shards while the others go on; what dies is started again with the shards it
 * had. Main thread.
 */
export class ShardThreads {
  readonly #options: ShardThreadsOptions;
  readonly #pool: BackgroundPool = new BackgroundPool();
  readonly #reader: ReaderThread;
  /** Undefined: it has died too often, and is started again when a shard is opened on it. */
  readonly #threads: (ShardThread | undefined)[];
  readonly #placed: Map<number, PlacedShard> = new Map();
  readonly #restarts: RestartBudget = new RestartBudget();
  readonly #links: LinkPool = new LinkPool(SYSTEM_CLOCK);
  /** Threads that are ended because the reader died: that counts once. */
  readonly #spared: WeakSet<ShardThread> = new WeakSet();
  #disk: DiskLook | undefined;
  #ending = false;

  constructor(options: ShardThreadsOptions) {
    this.#options = options;
    this.#reader = new ReaderThread({
      shardsDirectory: shardsDirectory(options.dataDir),
      threads: options.threads,
      gatewayDoorbell: options.gatewayDoorbell,
      replies: options.replies,
      onPoke: () => options.handler.onPoke(),
      onLog: (message) => options.logger.log(message.level, message.event, message.fields),
      onDied: (error) => this.#readerDied(error),
    });
    this.#threads = new Array<ShardThread | undefined>(options.threads).fill(undefined);
    for (let index = 0; index < options.threads; index += 1) this.#startThread(index);
  }

  /** Of shard threads. */
  get count(): number {
    return this.#threads.length;
  }

  /** The ring in which the reader thread answers. */
  get readerOutbound(): OutboundReader {
    return this.#reader.outbound;
  }

  /** The shard thread that has the shard, or is to have it. */
  threadOf(shardId: number): number | undefined {
    return this.#placed.get(shardId)?.thread;
  }

  /**
   * Takes the shard over, on the thread that has the fewest. While it is being closed, that is waited for.
   * @throws MillraceError JOURNAL_QUARANTINED, JOURNAL_DAMAGED, JOURNAL_FAILED, DATA_FORMAT_NEWER, DISK_FULL;
   * SHARD_RESTARTED when its thread died meanwhile: then it is not open, and may be opened again
   */
  async open(shardId: number): Promise<OpenedShard> {
    const closing = this.#placed.get(shardId)?.closing;
    if (closing !== undefined) await closing.promise;
    if (this.#placed.has(shardId)) throw new Error(`shard is open: shardId=${shardId}`);
    if (this.#ending) throw shardGone(shardId, "the node ends");
    const thread = this.#leastLoaded();
    const opening = settling<OpenedShard | undefined>();
    this.#placed.set(shardId, {
      shardId,
      thread,
      state: "opening",
      buffers: this.#sendOpen(thread, shardId),
      link: undefined,
      opening,
      closing: undefined,
    });
    return (await opening.promise) as OpenedShard;
  }

  /**
   * The shard commits and answers what it took, leaves a clean checkpoint, and lets go of its folder. The caller writes nothing
   * into the link any more, and goes on reading from it until this resolves: what is not read in time is not answered. A
   * shard that cannot finish, as on a full disk, is let go of unclean. One that is being opened is waited for.
   * @throws Error when it is not open
   */
  async close(shardId: number): Promise<ClosedShard> {
    // Lost while it was reopened, it is reopened once more.
    for (let opening = this.#openingOf(shardId); opening !== undefined; opening = this.#openingOf(shardId)) {
      await opening.promise.catch(() => {});
    }
    const placed = this.#placed.get(shardId);
    if (placed?.closing !== undefined) return placed.closing.promise;
    if (placed?.state !== "open") throw new Error(`shard is not open: shardId=${shardId}`);
    placed.state = "closing";
    placed.closing = settling();
    this.#threads[placed.thread]?.send({ kind: "close-shard", shardId });
    return placed.closing.promise;
  }

  /** Tells every shard how much room the volume has: a share of it for each. */
  setDiskRoom(look: DiskLook): void {
    this.#disk = look;
    for (const thread of this.#threads) if (thread !== undefined) this.#tellDiskRoom(thread);
  }

  /** Every shard commits and answers what it took and leaves a clean checkpoint; the shard threads end. */
  async drain(): Promise<void> {
    this.#ending = true;
    await Promise.all(this.#threads.map((thread) => thread?.drain()));
    this.#settleAll();
  }

  /** Ends all threads where they stand. */
  async terminate(): Promise<void> {
    this.#ending = true;
    await Promise.all(this.#threads.map((thread) => thread?.terminate()));
    this.#settleAll();
    await this.#reader.terminate();
    await this.#pool.close();
  }

  /** For tests of supervision: the thread of this shard dies as if it had crashed. */
  async crash(shardId: number): Promise<void> {
    await this.#threads[this.#placed.get(shardId)?.thread ?? -1]?.crash();
  }

  #openingOf(shardId: number): PlacedShard["opening"] {
    return this.#placed.get(shardId)?.opening;
  }

  #leastLoaded(): number {
    const loads = new Array<number>(this.#threads.length).fill(0);
    for (const { thread } of this.#placed.values()) loads[thread] = (loads[thread] as number) + 1;
    return loads.indexOf(Math.min(...loads));
  }

  #sendOpen(thread: number, shardId: number): LinkBuffers {
    const link = this.#links.take();
    const directory = shardDirectory(this.#options.dataDir, shardId);
    const target = this.#threads[thread] ?? this.#startThread(thread);
    target.send({ kind: "open-shard", place: { shardId, directory, link } });
    return link;
  }

  #startThread(index: number): ShardThread {
    const { shardCount, gatewayDoorbell, storage, handler } = this.#options;
    const started: ShardThread = new ShardThread({
      index,
      shardCount,
      gatewayDoorbell,
      readerDoorbell: this.#reader.doorbellBuffer,
      liveWrites: this.#reader.liveWritesBuffer,
      storage,
      onPoke: () => handler.onPoke(),
      onMessage: (message) => this.#onMessage(started, message),
      onDied: (error) => this.#threadDied(started, index, error),
    });
    this.#threads[index] = started;
    this.#reader.attach(index, started.readerLink, started.doorbellBuffer);
    this.#tellDiskRoom(started);
    return started;
  }

  #tellDiskRoom(thread: ShardThread): void {
    if (this.#disk === undefined) return;
    const { low, roomBytes } = this.#disk;
    thread.send({ kind: "disk", low, roomBytes: roomBytes / this.#options.shardCount });
  }

  #onMessage(thread: ShardThread, message: FromShardThread): void {
    switch (message.kind) {
      case "log":
        this.#options.logger.log(message.level, message.event, message.fields);
        break;
      case "job":
        this.#runJob(thread, message.jobId, message.job);
        break;
      case "shard-opened":
        this.#opened(thread, message.recovered);
        break;
      case "shard-open-failed":
        this.#openFailed(message);
        break;
      case "shard-closed":
        this.#closed(message.shardId, message.clean);
        break;
      case "shard-failed":
        this.#failed(message);
        break;
      case "shard-crashed":
        this.#crashed(message.shardId, message.message);
    }
  }

  #runJob(thread: ShardThread, jobId: number, job: BackgroundJob): void {
    void this.#pool
      .run(job)
      .then((outcome) => thread.send({ kind: "job-done", jobId, outcome }, buffersOf(outcome.result)));
  }

  // What becomes of shards.

  #opened(thread: ShardThread, recovered: RecoveredShard): void {
    const placed = this.#placed.get(recovered.shardId);
    const opening = placed?.opening;
    if (placed === undefined || opening === undefined) return;
    placed.state = "open";
    placed.opening = undefined;
    const { replies } = this.#options;
    const { shardId, buffers } = placed;
    const link = new GatewayLink(buffers, thread.doorbell, replies, shardId);
    placed.link = link;
    opening.resolve({ recovered, link });
  }

  #openFailed(error: ShardError): void {
    const opening = this.#forget(error.shardId)?.opening;
    opening?.reject(errorOf(error));
  }

  #closed(shardId: number, clean: boolean): void {
    const closing = this.#forget(shardId)?.closing;
    if (!clean) this.#options.logger.log("warn", "shard-closed-unclean", { shardId });
    closing?.resolve({ clean });
  }

  #failed(failure: ShardError): void {
    const placed = this.#forget(failure.shardId);
    if (placed === undefined) return;
    const error = errorOf(failure);
    const { closing, shardId } = placed;
    if (closing === undefined) {
      this.#tellFailed(shardId, error);
      return;
    }
    this.#options.logger.log("error", "shard-failed", { shardId, reason: error.message });
    closing.resolve({ clean: false });
  }

  #tellFailed(shardId: number, error: MillraceError): void {
    const { handler } = this.#options;
    if (error.details.reason === "fenced") handler.onShardFenced(shardId, error);
    else handler.onShardFailed(shardId, error);
  }

  /** It threw and was let go of; its thread and the others there go on. */
  #crashed(shardId: number, message: string): void {
    const placed = this.#placed.get(shardId);
    if (placed === undefined) return;
    this.#options.logger.log("error", "shard-crashed", { shardId, error: message });
    void this.#reopen(this.#lose([placed]), this.#restarts.take(), `shard ${shardId}`);
  }

  #threadDied(thread: ShardThread, index: number, error: Error): void {
    if (this.#ending) return;
    const mayRestart = this.#spared.has(thread) || this.#restarts.take();
    this.#options.logger.log("error", "shard-thread-died", { thread: index, error: error.message });
    this.#threads[index] = undefined;
    if (mayRestart) this.#startThread(index);
    const had = [...this.#placed.values()].filter((placed) => placed.thread === index);
    void this.#reopen(this.#lose(had), mayRestart, `thread ${index}`).then(() => {
      if (mayRestart && !this.#ending)
        this.#options.logger.log("info", "shard-thread-restarted", { thread: index });
    });
  }

  /** Tells everybody who waits. @returns those that are to be opened again */
  #lose(placed: readonly PlacedShard[]): PlacedShard[] {
    const lost: PlacedShard[] = [];
    for (const each of placed) {
      const { shardId, state, opening, closing } = each;
      if (state === "open" || state === "reopening") {
        lost.push(each);
        opening?.resolve(undefined);
        each.state = "reopening";
        each.link = undefined;
        each.opening = settling();
        if (state === "open") this.#options.handler.onShardDown(shardId);
      } else {
        this.#placed.delete(shardId);
        opening?.reject(shardGone(shardId, "its thread died while it was opened"));
        closing?.resolve({ clean: false });
      }
    }
    return lost;
  }

  /** Opens shards again where they were. Settles when each of them serves, has failed, or was lost once more. */
  async #reopen(lost: readonly PlacedShard[], mayRestart: boolean, what: string): Promise<void> {
    const outcomes = lost.map(async (placed): Promise<OpenedShard | undefined> => {
      const { shardId, thread, opening } = placed;
      try {
        if (!mayRestart) {
          const details = { shardId };
          throw new MillraceError("INTERNAL", `${what} died after ${this.#restarts.text}; giving up`, {
            details,
          });
        }
        this.#links.give(placed.buffers);
        placed.buffers = this.#sendOpen(thread, shardId);
        return await opening?.promise;
      } catch (error) {
        this.#placed.delete(shardId);
        opening?.resolve(undefined);
        if (!this.#ending) this.#tellFailed(shardId, error as MillraceError);
        return undefined;
      }
    });
    // While the others were waited for, one that was back may have been lost again: whoever opens it then tells of it.
    const opened = (await Promise.all(outcomes)).filter(
      (shard) => shard !== undefined && this.#placed.get(shard.recovered.shardId)?.link === shard.link,
    ) as OpenedShard[];
    if (opened.length > 0 && !this.#ending) await this.#options.handler.onShardsReopened(opened);
  }

  /** Without the reader nobody can replay, and reads are lost with it: it and all shards are started afresh. */
  #readerDied(error: Error): void {
    if (this.#ending) return;
    this.#options.logger.log("error", "reader-thread-died", { error: error.message });
    const mayRestart = this.#restarts.take();
    this.#reader.restart();
    for (const thread of this.#threads) {
      if (thread === undefined) continue;
      if (mayRestart) this.#spared.add(thread);
      void thread.crash();
    }
  }

  #forget(shardId: number): PlacedShard | undefined {
    const placed = this.#placed.get(shardId);
    this.#placed.delete(shardId);
    if (placed !== undefined) this.#links.give(placed.buffers);
    return placed;
  }

  #settleAll(): void {
    for (const { shardId, opening, closing } of this.#placed.values()) {
      opening?.reject(shardGone(shardId, "the node ends"));
      closing?.resolve({ clean: false });
    }
    this.#placed.clear();
  }
}

function settling<T>(): Settling<T> {
  let resolve: (value: T) => void = () => {};
  let reject: (error: MillraceError) => void = () => {};
  const promise = new Promise<T>((fulfil, refuse) => {
    resolve = fulfil;
    reject = refuse;
  });
  return { promise, resolve, reject };
}

function errorOf({ code, message, details }: ShardError): MillraceError {
  return new MillraceError(code, message, { details: { ...details } });
}

function shardGone(shardId: number, why: string): MillraceError {
  return new MillraceError("SHARD_RESTARTED", `shard ${shardId} cannot be opened: ${why}`, {
    details: { shardId },
  });
}
