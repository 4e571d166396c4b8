import { parseCheckpointFileName } from "../src/checkpoint/checkpoint-layout.ts";
import {
  type BackgroundJob,
  completeBackgroundJob,
  type JobDone,
  type RetentionPlan,
  type Storage,
} from "../src/internal.ts";
import { parseSegmentFileName } from "../src/segment/segment-layout.ts";
import { decodeManifest, parseManifestFileName } from "../src/settled/manifest-layout.ts";
import { readFile } from "../src/storage/storage.ts";
import { DelegatingStorage } from "./broken-storage.ts";

class WithoutSync extends DelegatingStorage {
  override sync(): void {}
}

/** The manifest is replaced while the settled files are not synced. */
export function settleWithoutSync(storage: Storage, job: BackgroundJob, done: JobDone): void {
  completeBackgroundJob(job.kind === "settle" ? new WithoutSync(storage) : storage, job, done);
}

/** What is settled is deleted up to the newest checkpoint, not the one before. */
export function deleteUpToNewestCheckpoint(storage: Storage, job: BackgroundJob, done: JobDone): void {
  completeBackgroundJob(storage, job, (error, result) => {
    if (error === undefined && job.kind === "write-file") {
      deleteSegments(storage, job.directory, settledPosition(storage, job.directory), 1);
    }
    done(error, result);
  });
}

/** What is settled is deleted while the manifest does not say so yet. */
export function deleteBeforeManifest(storage: Storage, job: BackgroundJob, done: JobDone): void {
  completeBackgroundJob(storage, job, (error, result) => {
    if (result?.kind === "settled" && job.kind === "settle") {
      deleteSegments(storage, job.directory, result.endPosition, 2);
    }
    done(error, result);
  });
}

/** One file more than those that are dead counts as dead. */
export function dropOneFileTooMany(storage: Storage, job: BackgroundJob, done: JobDone): void {
  completeBackgroundJob(storage, job, (error, result) => {
    done(error, result?.kind === "retention-plan" ? withOneMore(result) : result);
  });
}

function withOneMore(plan: RetentionPlan): RetentionPlan {
  const files = plan.files.slice();
  for (let at = 0; at < files.length; at += 2) {
    if (files[at] === 0) continue;
    files[at] = 0;
    break;
  }
  return { ...plan, files };
}

/** @param newest which of the checkpoints, counted from the newest, bounds the deletion. */
function deleteSegments(storage: Storage, directory: string, settled: number, newest: number): void {
  const names = storage.list(directory).sort();
  const checkpoint = parseCheckpointFileName(names.filter((name) => /\.ckpt$/.test(name)).at(-newest) ?? "");
  const end = Math.min(settled, checkpoint ?? 0);
  const segments = names.filter((name) => name.endsWith(".log"));
  segments.forEach((name, i) => {
    const next = parseSegmentFileName(segments[i + 1] ?? "");
    if (next !== undefined && next.basePosition <= end) storage.unlink(`${directory}/${name}`);
  });
  storage.syncDirectory(directory);
}

function settledPosition(storage: Storage, directory: string): number {
  const name = storage
    .list(directory)
    .sort()
    .findLast((each) => parseManifestFileName(each) !== undefined);
  const bytes = name === undefined ? undefined : readFile(storage, `${directory}/${name}`);
  return (bytes && decodeManifest(bytes)?.settledPosition) ?? 0;
}
