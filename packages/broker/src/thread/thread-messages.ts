import type { BackgroundJob } from "@millrace/journal";
import type { LinkBuffers } from "../link/link-buffers.ts";
import type { ReaderLinkBuffers } from "../link/reader-link-buffers.ts";
import type { LogLevel } from "../logger.ts";
import type { AheadBuffers } from "../reader/ahead-slots.ts";
import type { JobOutcome } from "./job-outcome.ts";

/**
 * What threads of a node say to each other apart from the rings: rare, and never on the data path. A shard
 * thread and the reader thread never return to their event loop, so they fetch messages themselves when
 * CONTROL_PENDING is set; the sender sets it, posts, and rings the thread's doorbell.
 */
export const CONTROL_PENDING = 0;
export const CONTROL_WORDS = 32;

/** Main thread -> shard thread. */
export type ToShardThread =
  | { readonly kind: "job-done"; readonly jobId: number; readonly outcome: JobOutcome }
  /** The volume has become low, or has room again. */
  /** A shard takes no more than `roomBytes` of batches until it is told anew, unless the disk is low. */
  | { readonly kind: "disk"; readonly low: boolean; readonly roomBytes: number }
  /** Finish what was taken, commit, answer, take clean checkpoints, end. */
  | { readonly kind: "drain" };

/** Shard thread -> main thread. */
export type FromShardThread =
  | ({ readonly kind: "ready" } & StartedShards)
  /** A shard could not be recovered; the thread ends. */
  | {
      readonly kind: "start-failed";
      readonly code: string;
      readonly message: string;
      readonly details: Record<string, unknown>;
    }
  | {
      readonly kind: "shard-failed";
      readonly shardId: number;
      readonly code: string;
      readonly message: string;
    }
  | { readonly kind: "job"; readonly jobId: number; readonly job: BackgroundJob }
  | { readonly kind: "drained" }
  | LogMessage;

export interface LogMessage {
  readonly kind: "log";
  readonly level: LogLevel;
  readonly event: string;
  readonly fields: Record<string, unknown>;
}

/** What became of a thread's shards at its start. */
export interface StartedShards {
  readonly recovered: readonly RecoveredShard[];
  /** Quarantined by an earlier run: the others are served without them. */
  readonly refused: readonly RefusedShard[];
}

export interface RefusedShard {
  readonly shardId: number;
  readonly code: string;
  readonly message: string;
  readonly details: Record<string, unknown>;
}

export interface RecoveredShard {
  readonly shardId: number;
  readonly epoch: number;
  readonly cleanShutdown: boolean;
  /** Entries replayed behind the checkpoint. */
  readonly entries: number;
  readonly recoveryMs: number;
}

export interface ShardThreadData {
  readonly shards: readonly { shardId: number; directory: string; link: LinkBuffers }[];
  readonly shardCount: number;
  readonly doorbell: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
  readonly gatewayDoorbell: SharedArrayBuffer;
  readonly readerLink: ReaderLinkBuffers;
  readonly readerDoorbell: SharedArrayBuffer;
  readonly liveWrites: SharedArrayBuffer;
  readonly storage: ShardStorageSizes;
}

/** What follows from the size of the volume. */
export interface ShardStorageSizes {
  readonly segmentBytes: number;
  /** Of each shard. */
  readonly reserveBytes: number;
}

export interface ReaderThreadData {
  readonly shardsDirectory: string;
  /** Number of shard threads, each of which is attached with a link of its own. */
  readonly threads: number;
  readonly outbound: SharedArrayBuffer;
  readonly state: SharedArrayBuffer;
  readonly doorbell: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
  readonly gatewayDoorbell: SharedArrayBuffer;
  readonly liveWrites: SharedArrayBuffer;
  readonly ahead: ReadAheadThreadData;
}

export interface ReadAheadThreadData {
  readonly buffers: AheadBuffers;
  readonly doorbell: SharedArrayBuffer;
}

/** Main thread -> reader thread. */
export type ToReaderThread =
  /** The shard thread was started, with a fresh link: nobody hears of what came by the one before. */
  {
    readonly kind: "attach";
    readonly thread: number;
    readonly link: ReaderLinkBuffers;
    /** Of the shard thread. */
    readonly doorbell: SharedArrayBuffer;
  };
