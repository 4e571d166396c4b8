import { crc32 } from "@millrace/protocol/internal";
import { requireFence } from "./ownership/fence.ts";
import { runRetentionPlan } from "./settled/retention-plan.ts";
import { runSettleJob } from "./settled/settle-job.ts";
import type { RetentionJob, RetentionPlan, SettleJob, SettleResult } from "./settled/settle-jobs.ts";
import { removeQuietly, type Storage, writeFully, writeZeros } from "./storage/storage.ts";

/** Work of the journal that is too slow for the shard's thread. Plain data: travels between threads. */
export type BackgroundJob =
  | {
      /** Makes a file appear whole or not at all, if the epoch still owns the folder. */
      readonly kind: "write-file";
      readonly directory: string;
      readonly path: string;
      readonly temporaryPath: string;
      /**
       * The content. Each chunk covers all of its ArrayBuffer and is not used again by the journal, so the buffers may be
       * transferred to another thread.
       */
      readonly chunks: readonly Uint8Array[];
      /** Put the CRC-32 of all chunks behind them, little-endian: it is computed by whoever runs the job. */
      readonly appendChecksum: boolean;
      /** The temporary file is there and is written over: it has room that the disk may not have any more. */
      readonly overwrites?: boolean;
      readonly epoch: number;
    }
  | {
      /** Makes a file of zeros, durable, whose blocks are allocated. */
      readonly kind: "prepare-segment";
      readonly path: string;
      readonly sizeBytes: number;
    }
  | {
      /** Removes files, if the epoch still owns the folder. Those that are gone already do not matter. */
      readonly kind: "unlink";
      readonly directory: string;
      readonly paths: readonly string[];
      readonly epoch: number;
    }
  | SettleJob
  | RetentionJob;

/** What a job answers; jobs that only write answer nothing. Plain data, as the jobs are. */
export type BackgroundResult = SettleResult | RetentionPlan;

/** Told how a job ended: with an error, or with the result of a job that has one. */
export type JobDone = (error?: Error, result?: BackgroundResult) => void;

/**
 * Runs jobs off the shard's thread. `done` is called on the shard's thread, later or from within `submit`, once a job.
 */
export interface Background {
  submit(job: BackgroundJob, done: JobDone): void;
}

/** Runs each job at once on the calling thread. For tests, tools and simulations. */
export class InlineBackground implements Background {
  private readonly storage: Storage;

  constructor(storage: Storage) {
    this.storage = storage;
  }

  submit(job: BackgroundJob, done: JobDone): void {
    completeBackgroundJob(this.storage, job, done);
  }
}

/** Runs one job to its end. Any thread. @throws what the storage throws; MillraceError JOURNAL_FAILED when fenced */
export function runBackgroundJob(storage: Storage, job: BackgroundJob): BackgroundResult | undefined {
  switch (job.kind) {
    case "write-file":
      writeFile(storage, job);
      return undefined;
    case "prepare-segment":
      prepareSegment(storage, job.path, job.sizeBytes);
      return undefined;
    case "unlink":
      requireFence(storage, job.directory, job.epoch);
      for (const path of job.paths) {
        if (storage.exists(path)) storage.unlink(path);
      }
      storage.syncDirectory(job.directory);
      return undefined;
    case "settle":
      return runSettleJob(storage, job);
    case "plan-retention":
      return runRetentionPlan(storage, job);
  }
}

/** The same for a job without a result, with the error as what it returns. */
export function attemptBackgroundJob(storage: Storage, job: BackgroundJob): Error | undefined {
  let failure: Error | undefined;
  completeBackgroundJob(storage, job, (error) => {
    failure = error;
  });
  return failure;
}

/** The same, and tells `done` how it ended, once. */
export function completeBackgroundJob(storage: Storage, job: BackgroundJob, done: JobDone): void {
  let result: BackgroundResult | undefined;
  let failure: Error | undefined;
  try {
    result = runBackgroundJob(storage, job);
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error));
  }
  // Outside of the try: what `done` throws is no failure of the job.
  done(failure, result);
}

function writeFile(storage: Storage, job: Extract<BackgroundJob, { kind: "write-file" }>): void {
  const overwrites = job.overwrites === true;
  const fd = storage.open(job.temporaryPath, overwrites ? "readWrite" : "create");
  try {
    try {
      let position = 0;
      for (const chunk of job.chunks) {
        writeFully(storage, fd, chunk, 0, chunk.length, position);
        position += chunk.length;
      }
      if (job.appendChecksum) {
        const trailer = Buffer.alloc(4);
        trailer.writeUInt32LE(checksumOf(job.chunks));
        writeFully(storage, fd, trailer, 0, trailer.length, position);
        position += trailer.length;
      }
      if (overwrites) storage.truncate(fd, position);
      storage.sync(fd);
    } finally {
      storage.close(fd);
    }
    // Looked at behind the temporary file's making: see claim.ts.
    requireFence(storage, job.directory, job.epoch);
    storage.rename(job.temporaryPath, job.path);
  } catch (error) {
    removeQuietly(storage, job.temporaryPath);
    throw error;
  }
  storage.syncDirectory(job.directory);
}

function prepareSegment(storage: Storage, path: string, sizeBytes: number): void {
  const fd = storage.open(path, "create");
  try {
    writeZeros(storage, fd, 0, sizeBytes);
    storage.sync(fd);
  } catch (error) {
    removeQuietly(storage, path);
    throw error;
  } finally {
    storage.close(fd);
  }
}

/** CRC-32 of the chunks one after another. */
function checksumOf(chunks: readonly Uint8Array[]): number {
  if (chunks.length === 1) {
    const only = chunks[0] as Uint8Array;
    return crc32(only, 0, only.length);
  }
  const whole = Buffer.concat(chunks);
  return crc32(whole, 0, whole.length);
}
