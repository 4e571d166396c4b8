import type { SettledFile } from "@millrace/journal/internal";
import { BROKER_LIMITS } from "../limits.ts";
import { CATALOG_TOPIC_ID } from "./catalog-state.ts";

/** A settled file, and when retention has to look into it again. */
export interface FileLook {
  readonly file: SettledFile;
  /** ms since the epoch; 0 = at once. */
  dueMs: number;
  /** It was to be dropped whatever its age: nothing but the catalog can live there. */
  emptied: boolean;
  /** Bytes that are about to go with the file. */
  deadBytes: number;
}

/**
 * When each settled file of a shard is worth a look. A file that is new here is looked into once, since topics may have
 * been deleted or truncated while it was made, or before the shard was started; then not before the time that the look
 * has told, or until something happens to one of its topics. Shard thread only.
 */
export class FileLooks {
  #looks: readonly FileLook[] = [];
  #byName: Map<string, FileLook> = new Map();
  #bytes = 0;

  /** Oldest first. */
  get looks(): readonly FileLook[] {
    return this.#looks;
  }

  /** Bytes of all files, without what is to go. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The files as they are now, oldest first. */
  update(files: readonly SettledFile[]): void {
    const known = this.#byName;
    this.#looks = files.map((file) => known.get(nameOf(file)) ?? unseen(file));
    this.#byName = new Map(this.#looks.map((look) => [nameOf(look.file), look]));
    this.#bytes = this.#looks.reduce((sum, { file, deadBytes }) => sum + file.sizeBytes - deadBytes, 0);
  }

  /**
   * A look has told how many bytes of entries live, and when (ms since the epoch) there may be fewer. Files in which less
   * than half lives are about to be dropped or rewritten: they are asked for again should they stay.
   */
  looked(look: FileLook, livingBytes: number, againMs: number, nowMs: number): void {
    const { sizeBytes, entryBytes } = look.file;
    const deadBytes = livingBytes === 0 ? sizeBytes : 0;
    if (this.#byName.get(nameOf(look.file)) === look) this.#bytes -= deadBytes - look.deadBytes;
    look.deadBytes = deadBytes;
    const retryMs = livingBytes * 2 < entryBytes ? BROKER_LIMITS.reclaimRetryMs : Number.POSITIVE_INFINITY;
    look.dueMs = nowMs + Math.max(BROKER_LIMITS.retentionGapMs, Math.min(againMs - nowMs, retryMs));
  }

  /** Something happened to the topic: what a look has told of its files does not hold any more. */
  touch(topicId: number): void {
    for (const look of this.#looks) if (mayHold(look.file, topicId)) look.dueMs = 0;
  }

  /** Those that are due, oldest first, at most `limit`. */
  due(nowMs: number, limit: number): FileLook[] {
    const due: FileLook[] = [];
    for (const look of this.#looks) {
      if (look.dueMs <= nowMs) due.push(look);
      if (due.length === limit) break;
    }
    return due;
  }

  /** The oldest files that may be dropped before their time; behind them all those that are to go last. */
  droppable(limit: number, goesLast: (file: SettledFile) => boolean): FileLook[] {
    const first: FileLook[] = [];
    const last: FileLook[] = [];
    for (const look of this.#looks) {
      if (first.length === limit) break;
      if (isDroppable(look)) (goesLast(look.file) ? last : first).push(look);
    }
    return [...first, ...last].slice(0, limit);
  }
}

/** Whether the file may hold entries of the topic. */
export function mayHold(file: SettledFile, topicId: number): boolean {
  return file.firstTopicId <= topicId && topicId <= file.lastTopicId;
}

function isDroppable({ file, emptied }: FileLook): boolean {
  return !emptied && file.lastTopicId !== CATALOG_TOPIC_ID;
}

function unseen(file: SettledFile): FileLook {
  return { file, dueMs: 0, emptied: false, deadBytes: 0 };
}

function nameOf({ basePosition, epoch, part }: SettledFile): string {
  return `${basePosition}-${epoch}-${part}`;
}
