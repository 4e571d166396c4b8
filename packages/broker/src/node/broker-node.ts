import { Doorbell } from "@millrace/core";
import type { BackgroundJob } from "@millrace/journal";
import { MillraceError } from "@millrace/protocol";
import { removeSnapshots } from "../backup/backup-command.ts";
import { nodeControl } from "../backup/node-control.ts";
import { clearRestoredMark, isMarkedRestored } from "../backup/restored-mark.ts";
import { BROKER_LIMITS } from "../limits.ts";
import type { Logger } from "../logger.ts";
import type { SubscriptionOpening } from "../shard/subscription-requests.ts";
import type { PartitionOpening } from "../shard/topic-requests.ts";
import type { TopicTraits } from "../shard/topic-traits.ts";
import type { ShardStatus } from "../shard/upkeep-requests.ts";
import { buffersOf } from "../thread/job-outcome.ts";
import type { FromShardThread, RecoveredShard, ShardStorageSizes } from "../thread/thread-messages.ts";
import { VERSION } from "../version.ts";
import { BackgroundPool } from "./background-pool.ts";
import {
  type DataFolder,
  ensureFolder,
  openDataFolder,
  shardDirectory,
  shardsDirectory,
} from "./data-folder.ts";
import type { DiskState } from "./disk-watch.ts";
import { FolderLock } from "./folder-lock.ts";
import { GatewayLink } from "./gateway-link.ts";
import type { ShardSlot } from "./link-turn.ts";
import { nodeConditions } from "./node-conditions.ts";
import { NodePort } from "./node-port.ts";
import { NodeUpkeep } from "./node-upkeep.ts";
import type { OutboundReader } from "./outbound-reader.ts";
import { defaultShards, openingsByShard, shardThreadCount, traitsOf } from "./placement.ts";
import { ReaderThread } from "./reader-thread.ts";
import { ShardThread } from "./shard-thread.ts";
import { openingOf } from "./subscription-admin.ts";
import { measureVolume, reserveBytesFor, segmentBytesFor, type VolumeSpace } from "./volume.ts";

export interface NodeOptions {
  readonly dataDir: string;
  /** Fixed when the data folder is made; default: one a core, 2 to 64. */
  readonly shards?: number;
  /** Threads that share the shards; default: one a core but one, at most one a shard. */
  readonly shardThreads?: number;
  /** Bytes that all shards may store together: the oldest records go first, also before their time. 0 = no bound; default: 80 % of the volume. */
  readonly retentionTotalBytes?: number;
  /** Tests only: by default segments and reserves follow the size of the volume. */
  readonly storage?: Partial<ShardStorageSizes>;
  readonly logger: Logger;
}

export interface NodeStatus {
  readonly ready: boolean;
  readonly clusterId: string;
  readonly topics: number;
  readonly shards: readonly ShardStatus[];
  readonly failedShards: readonly number[];
  /** The volume that holds the data folder; `low`: so little is free that publishes are refused. */
  readonly disk: DiskState;
  /** Bytes that all shards may store together; 0 = no bound. */
  readonly retentionTotalBytes: number;
}

/**
 * One node: owns the data folder, the shard threads, the reader thread and the pool, and is the port through
 * which the gateway on this thread reaches them. All methods belong to the thread that opened it.
 */
export class BrokerNode extends NodePort {
  readonly #options: NodeOptions;
  readonly #folder: DataFolder;
  readonly #lock: FolderLock;
  readonly #pool: BackgroundPool;
  readonly #doorbellBuffer: SharedArrayBuffer;
  readonly #threads: (ShardThread | undefined)[];
  readonly #upkeep: NodeUpkeep;
  readonly #storage: ShardStorageSizes;
  #restarts = 0;
  #reader: ReaderThread | undefined;
  #ready = false;
  #closing = false;

  private constructor(options: NodeOptions, folder: DataFolder, lock: FolderLock, volume: VolumeSpace) {
    const doorbell = Doorbell.allocate();
    const threads = shardThreadCount(options.shardThreads, folder.shards);
    super(folder.shards, threads, doorbell);
    this.#options = options;
    this.#folder = folder;
    this.#lock = lock;
    this.#pool = new BackgroundPool();
    this.#doorbellBuffer = doorbell;
    this.#threads = new Array<ShardThread | undefined>(threads).fill(undefined);
    this.#storage = {
      segmentBytes: segmentBytesFor(volume.totalBytes),
      reserveBytes: reserveBytesFor(volume.totalBytes, folder.shards),
      ...options.storage,
    };
    this.#upkeep = new NodeUpkeep({
      dataDir: options.dataDir,
      volume,
      retentionTotalBytes: options.retentionTotalBytes,
      logger: options.logger,
      statuses: () => this.#statuses(),
      oldest: (shardId, limit) => this.ask(shardId, "oldest", [limit]),
      drop: (shardId, files) => this.ask(shardId, "drop", [files]),
      onDiskRoom: () => {
        for (const thread of this.#threads) if (thread !== undefined) this.#tellDiskRoom(thread);
      },
      topicName: (topicId) => this.catalog.byId(topicId)?.name,
    });
  }

  /**
   * Locks the data folder, and makes it if it is new.
   * @throws MillraceError DATA_DIR_IN_USE, SHARD_COUNT_FIXED, DATA_FORMAT_NEWER, DATA_DIR_UNUSABLE
   */
  static async open(options: NodeOptions): Promise<BrokerNode> {
    ensureFolder(options.dataDir);
    const lock = await FolderLock.acquire(options.dataDir, VERSION);
    try {
      const folder = openDataFolder(options.dataDir, options.shards, defaultShards());
      removeSnapshots(options.dataDir);
      return new BrokerNode(options, folder, lock, await measureVolume(options.dataDir));
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /**
   * Recovers all shards and reconciles them with the catalog.
   * @throws MillraceError JOURNAL_DAMAGED, JOURNAL_QUARANTINED, …; close() must follow.
   */
  async start(): Promise<void> {
    this.#reader = new ReaderThread({
      shardsDirectory: shardsDirectory(this.#folder.path),
      threads: this.#threads.length,
      gatewayDoorbell: this.#doorbellBuffer,
      replies: this.requests,
      onPoke: () => this.turn.schedule(),
      onLog: (message) => this.#options.logger.log(message.level, message.event, message.fields),
      onDied: (error) => this.#readerDied(error),
    });
    const recovered = (await Promise.all(this.#threads.map((_, thread) => this.#startThread(thread)))).flat();
    for (const shard of recovered) this.#options.logger.log("info", "shard-recovered", { ...shard });
    this.turn.schedule();
    await this.loadCatalog();
    // Nobody was told of them, and what shards do not know of them they would begin at the end.
    const unmade = [...this.catalog.subscriptions()].filter(({ isOpening }) => isOpening);
    for (const subscription of unmade) this.catalog.removeSubscription(subscription);
    await Promise.all(recovered.map((shard) => this.#reconcile(shard)));
    for (const { subscriptionId } of unmade) await this.ask(0, "deleteSubscription", [subscriptionId]);
    await this.#upkeep.start();
    this.#ready = true;
    this.#lock.receive(
      nodeControl({
        folder: this.#folder,
        logger: this.#options.logger,
        isReady: () => this.ready,
        commit: (shardId) => this.ask(shardId, "commit", []),
      }),
    );
  }

  /** Every shard commits and answers what it took and leaves a clean checkpoint. Nothing is accepted after. */
  async drain(): Promise<void> {
    this.#closing = true;
    this.#upkeep.stop();
    this.#ready = false;
    this.turn.flush();
    await Promise.all(this.#threads.map((thread) => thread?.drain()));
    // The last answers are in the rings.
    this.turn.run();
  }

  /** Ends all threads and gives the data folder back. Without drain() this is like a crash. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#upkeep.stop();
    this.#ready = false;
    await Promise.all(this.#threads.map((thread) => thread?.terminate()));
    await this.#reader?.terminate();
    await this.#pool.close();
    for (const slot of this.slots) this.requests.rejectShard(slot.shardId);
    await this.#lock.release();
  }

  async status(): Promise<NodeStatus> {
    const { low, freeBytes, totalBytes } = this.#upkeep.disk;
    return {
      ready: this.ready,
      clusterId: this.#folder.clusterId,
      topics: [...this.catalog.topics()].length,
      shards: await this.#statuses(),
      failedShards: this.slots.filter((slot) => slot.failed !== undefined).map((slot) => slot.shardId),
      disk: { low, freeBytes, totalBytes },
      retentionTotalBytes: this.#upkeep.retentionTotalBytes,
    };
  }

  #statuses(): Promise<ShardStatus[]> {
    const up = this.slots.filter((slot) => slot.link !== undefined && slot.failed === undefined);
    return Promise.all(up.map((slot) => this.ask(slot.shardId, "status", [])));
  }

  /** For tests of supervision: the thread of this shard dies as if it had crashed. */
  async crashShardThread(shardId: number): Promise<void> {
    await this.#threads[this.slot(shardId).thread]?.crash();
  }

  // What the port needs of the node.

  get ready(): boolean {
    return this.#ready && this.slots.every((slot) => slot.failed === undefined);
  }

  get conditions(): readonly string[] {
    const shards = this.slots.map(({ shardId, failed, link }) => {
      return { shardId, hasFailed: failed !== undefined, refusal: link?.refusal };
    });
    return nodeConditions(this.#upkeep.disk.low, shards);
  }

  protected override readerOutbound(): OutboundReader | undefined {
    return this.#reader?.outbound;
  }

  protected override logInfo(event: string, fields: Record<string, unknown>): void {
    this.#options.logger.log("info", event, fields);
  }

  // Threads.

  async #startThread(thread: number): Promise<readonly RecoveredShard[]> {
    const slots = this.slots.filter((slot) => slot.thread === thread && slot.failed === undefined);
    const reader = this.#reader as ReaderThread;
    const started = new ShardThread({
      shards: slots.map(({ shardId }) => ({
        shardId,
        directory: shardDirectory(this.#folder.path, shardId),
      })),
      shardCount: this.slots.length,
      gatewayDoorbell: this.#doorbellBuffer,
      readerDoorbell: reader.doorbellBuffer,
      liveWrites: reader.liveWritesBuffer,
      storage: this.#storage,
      onPoke: () => this.turn.schedule(),
      onMessage: (message) => this.#onThreadMessage(started, message),
      onDied: (error) => this.#threadDied(thread, error),
    });
    this.#threads[thread] = started;
    reader.attach(thread, started.readerLink, started.doorbellBuffer);
    const { recovered, refused } = await started.ready();
    for (const { shardId, message } of refused) this.#shardRefused(shardId, message);
    this.#tellDiskRoom(started);
    for (const slot of slots) {
      if (slot.failed !== undefined) continue;
      const link = started.links.get(slot.shardId);
      if (link !== undefined)
        slot.link = new GatewayLink(link, started.doorbell, this.requests, slot.shardId);
    }
    return recovered;
  }

  #tellDiskRoom(thread: ShardThread): void {
    const { low, roomBytes } = this.#upkeep.disk;
    thread.send({ kind: "disk", low, roomBytes: roomBytes / this.slots.length });
  }

  #onThreadMessage(thread: ShardThread, message: FromShardThread): void {
    if (message.kind === "log") {
      this.#options.logger.log(message.level, message.event, message.fields);
    } else if (message.kind === "job") {
      this.#runJob(thread, message.jobId, message.job);
    } else if (message.kind === "shard-failed") {
      this.#shardFailed(message.shardId, `${message.code}: ${message.message}`);
    }
  }

  #runJob(thread: ShardThread, jobId: number, job: BackgroundJob): void {
    void this.#pool
      .run(job)
      .then((outcome) => thread.send({ kind: "job-done", jobId, outcome }, buffersOf(outcome.result)));
  }

  #shardFailed(shardId: number, reason: string): void {
    const slot = this.slot(shardId);
    slot.failed = reason;
    this.#options.logger.log("error", "shard-failed", { shardId, reason });
    this.requests.rejectShard(shardId);
    this.handler?.onShardFailed(shardId, reason);
  }

  /** Quarantined by an earlier run. The others are served without it, unless it holds the catalog. */
  #shardRefused(shardId: number, message: string): void {
    if (shardId === 0 && !this.#ready) throw new MillraceError("JOURNAL_QUARANTINED", message);
    this.#options.logger.log("error", "shard-quarantined", {
      shardId,
      reason: message,
      repair: "stop the broker and run: millrace doctor --repair",
    });
    this.#shardFailed(shardId, message);
  }

  /** A dead thread is started again with fresh rings; what its gateway had in flight there failed. */
  #threadDied(thread: number, error: Error): void {
    const slots = this.slots.filter((slot) => slot.thread === thread && slot.failed === undefined);
    for (const slot of slots) {
      slot.link = undefined;
      this.requests.rejectShard(slot.shardId);
      if (this.#ready) this.handler?.onShardDown(slot.shardId);
    }
    // Before the first start is through, start() itself reports the error.
    if (this.#closing || !this.#ready) return;
    this.#restarts += 1;
    this.#options.logger.log("error", "shard-thread-died", {
      thread,
      error: error.message,
      restarts: this.#restarts,
    });
    void this.#restartThread(thread, slots);
  }

  async #restartThread(thread: number, slots: readonly ShardSlot[]): Promise<void> {
    try {
      if (this.#restarts > BROKER_LIMITS.shardRestartsMax) {
        throw new MillraceError("INTERNAL", `shard threads died ${this.#restarts} times; giving up`);
      }
      const recovered = await this.#startThread(thread);
      this.turn.schedule();
      if (slots.some(({ shardId }) => shardId === 0)) await this.reloadCatalog();
      await Promise.all(recovered.map((shard) => this.#reconcile(shard)));
      this.#options.logger.log("info", "shard-thread-restarted", { thread });
      for (const slot of slots) this.handler?.onShardUp(slot.shardId);
    } catch (error) {
      if (this.#closing) return;
      const reason = error instanceof Error ? error.message : String(error);
      for (const slot of slots) this.#shardFailed(slot.shardId, reason);
    }
  }

  /** Without the reader nobody can replay, and reads are lost with it: start it and all shards afresh. */
  #readerDied(error: Error): void {
    if (this.#closing) return;
    this.#options.logger.log("error", "reader-thread-died", { error: error.message });
    this.#reader?.restart();
    for (const thread of this.#threads) void thread?.crash();
  }

  async #reconcile(shard: RecoveredShard): Promise<void> {
    const openings: PartitionOpening[] = [];
    const traits: TopicTraits[] = [];
    for (const topic of this.catalog.topics()) {
      if (topic.retention !== undefined || topic.deadLetterOf !== undefined) traits.push(traitsOf(topic));
      for (const [shardId, partitions] of openingsByShard(topic)) {
        if (shardId === shard.shardId) openings.push(...partitions);
      }
    }
    const directory = shardDirectory(this.#folder.path, shard.shardId);
    const restored = isMarkedRestored(directory);
    await this.ask(shard.shardId, "reconcile", [openings, shard.cleanShutdown, restored, traits]);
    await this.#reconcileSubscriptions(shard.shardId);
    if (restored) clearRestoredMark(directory);
  }

  /** In pages: there may be more than one record of a ring holds. */
  async #reconcileSubscriptions(shardId: number): Promise<void> {
    const openings: SubscriptionOpening[] = [];
    for (const subscription of this.catalog.subscriptions()) {
      const topic = this.catalog.byId(subscription.topicId);
      if (topic?.shards.includes(shardId)) openings.push(openingOf(subscription, topic.name));
    }
    const page = BROKER_LIMITS.subscriptionsPageMax;
    for (let from = 0; from === 0 || from < openings.length; from += page) {
      const isLast = from + page >= openings.length;
      await this.ask(shardId, "reconcileSubscriptions", [openings.slice(from, from + page), isLast]);
    }
  }
}
