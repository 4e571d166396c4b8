import type { Background } from "../background.ts";
import { JOURNAL_LIMITS } from "../limits.ts";
import { segmentFileName, sidecarFileName } from "../segment/segment-layout.ts";

/** A segment whose batches are settled; its file is needed as long as a checkpoint before its end may be. */
export interface SettledSegment {
  readonly basePosition: number;
  readonly epoch: number;
  readonly endPosition: number;
}

/** Files that one job removes. */
const PATHS_MAX = 128;

/** Removes files of a shard's folder that nothing needs any more, in the background, until they are gone. Shard thread only. */
export class FileRemoval {
  private readonly background: Background;
  private readonly directory: string;
  private readonly epoch: number;
  private readonly isStopped: () => boolean;
  /** Names of files that nothing refers to. */
  private readonly unwanted: string[];
  /** Oldest first. */
  private readonly prefix: SettledSegment[];
  private inFlight = false;
  private retryAtMs = 0;
  private retryAfterMs: number = JOURNAL_LIMITS.retryAfterMs;
  private nowMs = 0;
  private prefixEnd = 0;
  private failed: Error | undefined;

  constructor(
    background: Background,
    folder: { readonly directory: string; readonly epoch: number },
    found: { readonly unwanted: readonly string[]; readonly prefix: readonly SettledSegment[] },
    isStopped: () => boolean,
  ) {
    this.background = background;
    this.directory = folder.directory;
    this.epoch = folder.epoch;
    this.unwanted = [...found.unwanted];
    this.prefix = [...found.prefix];
    this.isStopped = isStopped;
  }

  /** Why the last removal failed, until one succeeds. */
  get failure(): Error | undefined {
    return this.failed;
  }

  /** Nothing is left to remove, but for segments that a checkpoint still needs. */
  get isIdle(): boolean {
    return !this.inFlight && this.unwanted.length === 0 && !this.isPrefixDue();
  }

  /** Removes these files as soon as it can: nothing durable refers to them. */
  add(names: Iterable<string>): void {
    this.unwanted.push(...names);
  }

  /** Removes these segments once they end at or before `poll`'s position. They follow those added before. */
  addSegments(segments: readonly SettledSegment[]): void {
    this.prefix.push(...segments);
  }

  /** @param prefixEnd neither a manifest nor a checkpoint that is kept needs what is before it. */
  poll(nowMs: number, prefixEnd: number): void {
    this.nowMs = nowMs;
    this.prefixEnd = prefixEnd;
    if (this.inFlight || nowMs < this.retryAtMs || this.isStopped()) return;
    if (this.unwanted.length === 0 && !this.isPrefixDue()) return;
    const names = this.unwanted.slice(0, PATHS_MAX);
    let segments = 0;
    for (const { basePosition, epoch, endPosition } of this.prefix) {
      if (endPosition > prefixEnd || names.length >= PATHS_MAX) break;
      names.push(segmentFileName(basePosition, epoch), sidecarFileName(basePosition, epoch));
      segments++;
    }
    const unwanted = Math.min(PATHS_MAX, this.unwanted.length);
    const paths = names.map((name) => `${this.directory}/${name}`);
    this.inFlight = true;
    this.background.submit(
      { kind: "unlink", directory: this.directory, paths, epoch: this.epoch },
      (error) => {
        this.inFlight = false;
        this.failed = error;
        if (error !== undefined) {
          this.retryAtMs = this.nowMs + this.retryAfterMs;
          this.retryAfterMs = Math.min(this.retryAfterMs * 2, JOURNAL_LIMITS.retryAfterMsMax);
          return;
        }
        this.retryAtMs = 0;
        this.retryAfterMs = JOURNAL_LIMITS.retryAfterMs;
        this.unwanted.splice(0, unwanted);
        this.prefix.splice(0, segments);
        this.poll(this.nowMs, this.prefixEnd);
      },
    );
  }

  private isPrefixDue(): boolean {
    const oldest = this.prefix[0];
    return oldest !== undefined && oldest.endPosition <= this.prefixEnd;
  }
}
