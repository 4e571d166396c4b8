import type { Background } from "../background.ts";
import { JOURNAL_LIMITS } from "../limits.ts";
import type { JournalIndex } from "../lookup/journal-index.ts";
import { isDiskFull } from "../storage/storage.ts";
import { checkpointFileName, encodeCheckpointIndex } from "./checkpoint-layout.ts";

/** A checkpoint that waits until what it covers is committed and indexed durably. */
interface WaitingCheckpoint {
  readonly position: number;
  /** Where the numbers of sealed segments must have got to. */
  readonly sealedEnd: number;
  readonly chunks: Uint8Array[];
}

export interface CheckpointWriterOptions {
  readonly directory: string;
  readonly shardId: number;
  readonly epoch: number;
  readonly index: JournalIndex;
  readonly background: Background;
  /** Gives a file of zeros this name; false when there is none. */
  readonly lendRoom: (path: string) => boolean;
  /** Positions of the checkpoints that exist, oldest first. */
  readonly existing: readonly number[];
  /** Positions of others that are no use: removed with the next ones that are not needed. */
  readonly damaged: readonly number[];
}

/** Writes checkpoints in the background and keeps the newest two. Shard thread only. */
export class CheckpointWriter {
  private readonly options: CheckpointWriterOptions;
  private existing: number[];
  private damaged: number[];
  private waiting: WaitingCheckpoint | undefined;
  private inFlight = false;
  /** The newest that `advance` was told of, also while a job was under way. */
  private committedPosition = 0;
  private failed: Error | undefined;

  constructor(options: CheckpointWriterOptions) {
    this.options = options;
    this.existing = [...options.existing];
    this.damaged = [...options.damaged];
  }

  /** True until what was requested is durable, or failed. */
  get isPending(): boolean {
    return this.inFlight || this.waiting !== undefined;
  }

  /** Why the last checkpoint could not be written, until one succeeds. */
  get failure(): Error | undefined {
    return this.failed;
  }

  /** The position that a commit must reach for the waiting checkpoint, or undefined. */
  get waitsForPosition(): number | undefined {
    return this.waiting?.position;
  }

  /** Position of the oldest checkpoint that is kept; 0 while there are fewer than are kept. What is before it is not needed. */
  get oldestKept(): number {
    return this.existing.at(-JOURNAL_LIMITS.checkpointsKept) ?? 0;
  }

  /** Takes a picture of the index as it is now. A checkpoint that still waits is replaced. */
  request(position: number, sequence: number, state: Uint8Array, clean: boolean): void {
    const { shardId, epoch, index } = this.options;
    const head = encodeCheckpointIndex({ shardId, epoch, clean, position, sequence }, index, state.length);
    this.waiting = {
      position,
      sealedEnd: index.sealedEnd + index.unsealedCount,
      chunks: [head, wholeBuffer(state)],
    };
  }

  /** Starts what may start. Cheap when there is nothing. */
  advance(committedPosition: number): void {
    this.committedPosition = committedPosition;
    const waiting = this.waiting;
    if (waiting === undefined || this.inFlight || committedPosition < waiting.position) return;
    const { directory, epoch, background, index, lendRoom } = this.options;
    if (index.sealedEnd < waiting.sealedEnd) return;
    this.waiting = undefined;
    this.inFlight = true;
    const path = `${directory}/${checkpointFileName(waiting.position)}`;
    const temporaryPath = `${path}.${epoch}.tmp`;
    const overwrites = isDiskFull(this.failed) && lendRoom(temporaryPath);
    background.submit(
      {
        kind: "write-file",
        directory,
        path,
        temporaryPath,
        chunks: waiting.chunks,
        appendChecksum: true,
        overwrites,
        epoch,
      },
      (error) => {
        this.inFlight = false;
        this.failed = error;
        if (error === undefined) this.prune(waiting.position);
        this.advance(this.committedPosition);
      },
    );
  }

  private prune(newest: number): void {
    if (this.existing.at(-1) !== newest) this.existing.push(newest);
    // A damaged one of this position has been replaced.
    this.damaged = this.damaged.filter((position) => position !== newest);
    const surplus = Math.max(0, this.existing.length - JOURNAL_LIMITS.checkpointsKept);
    const removed = [...this.existing.slice(0, surplus), ...this.damaged];
    if (removed.length === 0) return;
    const { directory, epoch, background } = this.options;
    const paths = removed.map((position) => `${directory}/${checkpointFileName(position)}`);
    background.submit({ kind: "unlink", directory, paths, epoch }, (error) => {
      // What could not be removed is tried again behind the next checkpoint.
      if (error !== undefined) return;
      this.existing = this.existing.filter((position) => !removed.includes(position));
      this.damaged = this.damaged.filter((position) => !removed.includes(position));
    });
  }
}

/** Jobs may transfer their buffers, so a view into a larger one is copied out of it. */
function wholeBuffer(bytes: Uint8Array): Uint8Array {
  const whole = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength;
  return whole ? bytes : Uint8Array.prototype.slice.call(bytes);
}
