import type { Logger } from "../logger.ts";
import type { DroppableFile, DroppedFiles } from "../shard/retention.ts";
import type { ShardStatus } from "../shard/upkeep-requests.ts";
import { type DiskLook, DiskWatch } from "./disk-watch.ts";
import { TotalRetention } from "./total-retention.ts";
import { type MeasureVolume, measureVolume, retentionTotalFor, type VolumeSpace } from "./volume.ts";

export interface NodeUpkeepOptions {
  readonly dataDir: string;
  /** As it was when the node was opened. */
  readonly volume: VolumeSpace;
  /** Bytes that all shards may store together; 0 = no bound; default: 80 % of the volume. */
  readonly retentionTotalBytes: number | undefined;
  readonly logger: Logger;
  /** Of all shards that are up. */
  readonly statuses: () => Promise<readonly ShardStatus[]>;
  /** See ShardRequestMap. */
  readonly oldest: (shardId: number, limit: number) => Promise<readonly DroppableFile[]>;
  readonly drop: (shardId: number, files: number) => Promise<DroppedFiles>;
  /** Tells every shard. */
  readonly onDiskRoom: (look: DiskLook) => void;
  readonly topicName: (topicId: number) => string | undefined;
  /** Tests only. */
  readonly measure?: MeasureVolume;
}

/** What a node does about the volume that its shards share: watches how full it is, and keeps them below their bound. */
export class NodeUpkeep {
  /** Bytes that all shards may store together; 0 = no bound. */
  readonly retentionTotalBytes: number;
  readonly #options: NodeUpkeepOptions;
  readonly #watch: DiskWatch;
  readonly #total: TotalRetention;

  constructor(options: NodeUpkeepOptions) {
    this.#options = options;
    const { volume, dataDir, measure = measureVolume } = options;
    this.retentionTotalBytes = options.retentionTotalBytes ?? retentionTotalFor(volume.totalBytes);
    this.#watch = new DiskWatch({
      measure: () => measure(dataDir),
      onChange: (state) => this.#diskChanged(state),
      onRoom: options.onDiskRoom,
    });
    this.#total = new TotalRetention({
      boundBytes: this.retentionTotalBytes,
      statuses: options.statuses,
      oldest: options.oldest,
      drop: options.drop,
      onDropped: (shardId, dropped) => this.#dropped(shardId, dropped),
      onStuck: (stuck, storedBytes) => this.#stuck(stuck, storedBytes),
    });
  }

  get disk(): DiskLook {
    return this.#watch.state;
  }

  /** All shards are up. */
  async start(): Promise<void> {
    await this.watch();
    this.keepTotal(true);
  }

  /** Watches the volume from now on. */
  watch(): Promise<void> {
    return this.#watch.start();
  }

  /** Whether it keeps the shards below their bound: one node of all that share the volume does. */
  keepTotal(on: boolean): void {
    if (on) this.#total.start();
    else this.#total.stop();
  }

  stop(): void {
    this.#watch.stop();
    this.#total.stop();
  }

  #diskChanged({ low, freeBytes, totalBytes }: DiskLook): void {
    const fields = { freeBytes, totalBytes };
    if (low) this.#options.logger.log("warn", "disk-low", { ...fields, effect: "publishes are refused" });
    else this.#options.logger.log("info", "disk-recovered", fields);
  }

  #dropped(shardId: number, { files, bytes, partitions, starts }: DroppedFiles): void {
    const { topicName, logger } = this.#options;
    logger.log("warn", "retention-total-dropped", {
      shardId,
      boundBytes: this.retentionTotalBytes,
      files,
      bytes,
      partitions,
      // [topic, partition, logStartOffset] of the first of them.
      starts: starts.map(([topicId, partition, offset]) => {
        return [topicName(topicId) ?? `topic ${topicId}`, partition, offset];
      }),
    });
  }

  #stuck(stuck: boolean, storedBytes: number): void {
    const { retentionTotalBytes: boundBytes } = this;
    const { logger } = this.#options;
    if (stuck) logger.log("warn", "retention-total-exceeded", { boundBytes, storedBytes });
    else logger.log("info", "retention-total-kept", { boundBytes, storedBytes });
  }
}
