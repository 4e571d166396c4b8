import type { BackgroundJob } from "@millrace/journal";
import type { ErrorName } from "@millrace/protocol";
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
  /** Recover the shard and serve it. The thread's others wait meanwhile. */
  | { readonly kind: "open-shard"; readonly place: ShardPlace }
  /** Finish what was taken, commit, answer, take a clean checkpoint, let go of the folder. The thread's others go on. */
  | { readonly kind: "close-shard"; readonly shardId: number }
  /** Close all shards, and end. */
  | { readonly kind: "drain" };

/** Shard thread -> main thread. */
export type FromShardThread =
  | { readonly kind: "shard-opened"; readonly recovered: RecoveredShard }
  /** It could not be recovered; the thread's others are served. */
  | ({ readonly kind: "shard-open-failed" } & ShardError)
  /** `clean`: its next owner starts where it stood. Else it was given up, as if the process had ended. */
  | { readonly kind: "shard-closed"; readonly shardId: number; readonly clean: boolean }
  /** Its journal failed, or has another owner: it was let go of. */
  | ({ readonly kind: "shard-failed" } & ShardError)
  /** It threw, which is a defect: it was let go of, as if the process had ended. */
  | { readonly kind: "shard-crashed"; readonly shardId: number; readonly message: string }
  | { readonly kind: "job"; readonly jobId: number; readonly job: BackgroundJob }
  | { readonly kind: "drained" }
  | LogMessage;

/** An error of a shard. Plain data, since an Error loses its code when it is sent to another thread. */
export interface ShardError {
  readonly shardId: number;
  readonly code: ErrorName;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** Where a shard's files are, and the rings that join it to the gateway. */
export interface ShardPlace {
  readonly shardId: number;
  readonly directory: string;
  readonly link: LinkBuffers;
}

export interface LogMessage {
  readonly kind: "log";
  readonly level: LogLevel;
  readonly event: string;
  readonly fields: Record<string, unknown>;
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
  /** Of the data folder. */
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
