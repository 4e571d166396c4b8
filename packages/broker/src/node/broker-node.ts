import { Doorbell } from "@millrace/core";
import { MillraceError } from "@millrace/protocol";
import { removeSnapshots } from "../backup/backup-command.ts";
import { nodeControl } from "../backup/node-control.ts";
import { clearRestoredMark, isMarkedRestored } from "../backup/restored-mark.ts";
import type { Logger } from "../logger.ts";
import type { ShardStatus } from "../shard/upkeep-requests.ts";
import { SYSTEM_CLOCK, SYSTEM_ENTROPY } from "../system-clock.ts";
import type { RecoveredShard, ShardStorageSizes } from "../thread/thread-messages.ts";
import { VERSION } from "../version.ts";
import type { CoordinatedAdmin } from "./catalog-admin.ts";
import type { ClusterStatus } from "./cluster-status.ts";
import { type DataFolder, ensureFolder, openDataFolder, shardDirectory } from "./data-folder.ts";
import type { DiskState } from "./disk-watch.ts";
import { FolderLock } from "./folder-lock.ts";
import type { GatewayLink } from "./gateway-link.ts";
import { nodeConditions } from "./node-conditions.ts";
import { NodePort } from "./node-port.ts";
import { NodeReporter, shardReport } from "./node-report.ts";
import { NodeUpkeep } from "./node-upkeep.ts";
import type { OutboundReader } from "./outbound-reader.ts";
import { defaultShards, shardThreadCount } from "./placement.ts";
import { reconcileShard } from "./shard-reconciliation.ts";
import { type OpenedShard, ShardThreads } from "./shard-threads.ts";
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
  readonly #doorbellBuffer: SharedArrayBuffer;
  readonly #upkeep: NodeUpkeep;
  protected override readonly admin: CoordinatedAdmin = this.coordinatedAdmin();
  readonly #storage: ShardStorageSizes;
  readonly #reporter: NodeReporter = new NodeReporter(0, SYSTEM_ENTROPY.uint32());
  #threads: ShardThreads | undefined;
  #lostAtStart = false;
  #ready = false;
  #closing = false;

  private constructor(options: NodeOptions, folder: DataFolder, lock: FolderLock, volume: VolumeSpace) {
    const doorbell = Doorbell.allocate();
    super(folder.shards, doorbell);
    this.#options = options;
    this.#folder = folder;
    this.#lock = lock;
    this.#doorbellBuffer = doorbell;
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
      onDiskRoom: (look) => this.#threads?.setDiskRoom(look),
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
    const threads = this.#startThreads();
    const recovered = await this.#openAll(threads);
    this.turn.schedule();
    await this.loadCatalog();
    // Nobody was told of them, and what shards do not know of them they would begin at the end.
    const unmade = [...this.catalog.subscriptions()].filter(({ isOpening }) => isOpening);
    for (const subscription of unmade) this.catalog.removeSubscription(subscription);
    await Promise.all(recovered.map((shard) => this.#reconcile(shard)));
    for (const { subscriptionId } of unmade) await this.ask(0, "deleteSubscription", [subscriptionId]);
    await this.#upkeep.start();
    if (this.#lostAtStart)
      throw new MillraceError("INTERNAL", "a shard thread died while the broker started");
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
    await this.#threads?.drain();
    // The last answers are in the rings.
    this.turn.run();
  }

  /** Ends all threads and gives the data folder back. Without drain() this is like a crash. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#upkeep.stop();
    this.#ready = false;
    await this.#threads?.terminate();
    this.#reporter.stop();
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

  async clusterStatus(): Promise<ClusterStatus> {
    const { low, freeBytes, totalBytes } = this.#upkeep.disk;
    const statuses = new Map((await this.#statuses()).map((status) => [status.shardId, status]));
    return {
      version: VERSION,
      clusterId: this.#folder.clusterId,
      nodeId: 0,
      timeMs: SYSTEM_CLOCK.wallMs(),
      supervisor: { pid: null, note: "one process, which needs none" },
      coordinator: 0,
      topics: count(this.topics()),
      subscriptions: count(this.subscriptions()),
      disk: { low, freeBytes, totalBytes, retentionTotalBytes: this.#upkeep.retentionTotalBytes },
      nodes: [
        this.#reporter.report({
          isDraining: this.#closing,
          ready: this.ready,
          conditions: this.conditions,
          url: null,
          load: this.handler?.load(),
          links: [],
        }),
      ],
      shards: this.slots.map(({ shardId, failed, link }) =>
        shardReport(0, shardId, statuses.get(shardId), { failed, ...link?.fill }),
      ),
    };
  }

  #statuses(): Promise<ShardStatus[]> {
    const up = this.slots.filter((slot) => slot.way !== undefined && slot.failed === undefined);
    return Promise.all(up.map((slot) => this.ask(slot.shardId, "status", [])));
  }

  /** For tests of supervision: the thread of this shard dies as if it had crashed. */
  async crashShardThread(shardId: number): Promise<void> {
    await this.#threads?.crash(shardId);
  }

  // What the port needs of the node.

  get clusterId(): string {
    return this.#folder.clusterId;
  }

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
    return this.#threads?.readerOutbound;
  }

  protected override logInfo(event: string, fields: Record<string, unknown>): void {
    this.#options.logger.log("info", event, fields);
  }

  // Shards.

  #startThreads(): ShardThreads {
    const { dataDir, shardThreads, logger } = this.#options;
    const shardCount = this.slots.length;
    const threads = new ShardThreads({
      dataDir,
      shardCount,
      threads: shardThreadCount(shardThreads, shardCount),
      gatewayDoorbell: this.#doorbellBuffer,
      replies: this.requests,
      storage: this.#storage,
      logger,
      handler: {
        onPoke: () => this.turn.schedule(),
        onShardDown: (shardId) => this.#shardDown(shardId),
        onShardsReopened: (opened) => this.#takeBack(opened),
        onShardFailed: (shardId, error) => {
          if (error.code === "JOURNAL_QUARANTINED") this.#shardRefused(shardId, error.message);
          else this.#shardFailed(shardId, `${error.code}: ${error.message}`);
        },
        // Nobody but this process is to have this folder: there is no way back either.
        onShardFenced: (shardId, error) => this.#shardFailed(shardId, `${error.code}: ${error.message}`),
      },
    });
    this.#threads = threads;
    return threads;
  }

  /** Opens all shards. Those that were quarantined by an earlier run stay away; any other failure is thrown. */
  async #openAll(threads: ShardThreads): Promise<RecoveredShard[]> {
    const outcomes = await Promise.allSettled(this.slots.map(({ shardId }) => threads.open(shardId)));
    const recovered: RecoveredShard[] = [];
    outcomes.forEach((outcome, shardId) => {
      if (outcome.status === "fulfilled") {
        this.#attach(outcome.value);
        recovered.push(outcome.value.recovered);
      } else {
        const { reason } = outcome as { reason: unknown };
        if (!(reason instanceof MillraceError && reason.code === "JOURNAL_QUARANTINED")) throw reason;
        this.#shardRefused(shardId, reason.message);
      }
    });
    return recovered;
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

  #shardFailed(shardId: number, reason: string): void {
    const slot = this.slot(shardId);
    slot.failed = reason;
    this.#options.logger.log("error", "shard-failed", { shardId, reason });
    this.requests.rejectShard(shardId);
    this.handler?.onShardFailed(shardId, reason);
  }

  /** What its gateway had in flight there fails; it comes back with fresh rings. */
  #shardDown(shardId: number): void {
    this.#setLink(shardId, undefined);
    this.requests.rejectShard(shardId);
    // start() itself reports what happens before it is through.
    if (this.#ready) this.handler?.onShardDown(shardId);
    else this.#lostAtStart = true;
  }

  #attach({ recovered, link }: OpenedShard): void {
    this.#options.logger.log("info", "shard-recovered", { ...recovered });
    this.#setLink(recovered.shardId, link);
  }

  #setLink(shardId: number, link: GatewayLink | undefined): void {
    const slot = this.slot(shardId);
    slot.link = link;
    slot.way = link;
  }

  /**
   * What a partition holds is in the journal, that it exists is in the catalog: until a shard is reconciled with that, it would
   * say of an empty partition that there is none. So nobody but its reconciliation reaches it before.
   */
  async #takeBack(opened: readonly OpenedShard[]): Promise<void> {
    for (const shard of opened) {
      this.#attach(shard);
      const slot = this.slot(shard.recovered.shardId);
      if (this.#ready && slot.shardId !== 0) slot.way = undefined;
    }
    this.turn.schedule();
    if (!this.#ready) return;
    const catalog = opened.find(({ recovered }) => recovered.shardId === 0);
    const hasCatalog =
      catalog === undefined || (await this.#attempt(catalog, () => this.reloadCatalog(this.admin)));
    await Promise.all(
      opened.map(async (shard) => {
        if (shard === catalog && !hasCatalog) return;
        const isBack = await this.#attempt(shard, () => this.#reconcile(shard.recovered));
        if (!isBack) return;
        const { shardId } = shard.recovered;
        this.#setLink(shardId, shard.link);
        this.handler?.onShardUp(shardId);
      }),
    );
  }

  /** A shard that was lost once more is brought back by whoever hears of that. @returns whether it succeeded */
  async #attempt({ recovered, link }: OpenedShard, action: () => Promise<void>): Promise<boolean> {
    const { shardId } = recovered;
    try {
      await action();
      return this.slot(shardId).link === link;
    } catch (error) {
      if (this.#closing || this.slot(shardId).link !== link) return false;
      this.#shardFailed(shardId, error instanceof Error ? error.message : String(error));
      return false;
    }
  }

  async #reconcile({ shardId, cleanShutdown }: RecoveredShard): Promise<void> {
    const directory = shardDirectory(this.#folder.path, shardId);
    const restored = isMarkedRestored(directory);
    const slot = this.slot(shardId);
    const { link } = slot;
    await reconcileShard(this.catalog, shardId, { cleanShutdown, restored }, (kind, args) =>
      this.requests.ask(shardId, kind, args, (requestId, payload) => {
        if (link === undefined || slot.link !== link) return false;
        link.request(requestId, payload);
        slot.dirty = true;
        this.turn.schedule();
        return true;
      }),
    );
    if (restored) clearRestoredMark(directory);
  }
}

function count(items: Iterable<unknown>): number {
  let found = 0;
  for (const _ of items) found += 1;
  return found;
}
