import { JOURNAL_LIMITS } from "../limits.ts";
import { removeQuietly, type Storage } from "../storage/storage.ts";
import type { SettleJob } from "./settle-jobs.ts";
import { type SettledName, settledFileName } from "./settled-layout.ts";

/** A settled file that is about to be made. */
export interface NewSettledFile {
  readonly name: SettledName;
  readonly path: string;
}

/** Numbers the files that a job makes, and removes them when it fails. */
export class MadeFiles {
  private readonly storage: Storage;
  private readonly job: SettleJob;
  private readonly paths: string[] = [];

  constructor(storage: Storage, job: SettleJob) {
    this.storage = storage;
    this.job = job;
  }

  /**
   * The next file, of a stretch that begins at this position. Nothing has its name any more: what an earlier attempt left
   * may be another name of a segment, which must not be emptied by being made anew.
   */
  next(basePosition: number): NewSettledFile {
    const { storage, job, paths } = this;
    const part = job.firstPart + paths.length;
    if (part > JOURNAL_LIMITS.settledPartMax) {
      throw new RangeError(`settled files of one job are too many: firstPart=${job.firstPart} part=${part}`);
    }
    const name = { basePosition, epoch: job.epoch, part };
    const fileName = settledFileName(name);
    for (const source of job.sources) {
      if (source.kind === "settled" && settledFileName(source.file) === fileName) {
        throw new RangeError(`a settled file cannot replace itself: ${fileName}`);
      }
    }
    const path = `${job.directory}/${fileName}`;
    paths.push(path);
    if (storage.exists(path)) storage.unlink(path);
    return { name, path };
  }

  removeAll(): void {
    for (const path of this.paths) removeQuietly(this.storage, path);
  }
}
