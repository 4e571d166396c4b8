import type { Background, BackgroundJob } from "../background.ts";
import { JOURNAL_LIMITS } from "../limits.ts";
import { sidecarFileName } from "../segment/segment-layout.ts";
import type { JournalIndex } from "./journal-index.ts";
import type { OpenSegment } from "./partition-index.ts";
import { encodeSidecar } from "./sidecar-layout.ts";

/** The job that writes the sidecar of an ended segment. */
export function sidecarJob(
  segment: OpenSegment,
  directory: string,
  shardId: number,
  epoch: number,
): BackgroundJob {
  const path = `${directory}/${sidecarFileName(segment.basePosition, segment.epoch)}`;
  return {
    kind: "write-file",
    directory,
    path,
    temporaryPath: `${path}.${epoch}.tmp`,
    chunks: [encodeSidecar(segment, shardId)],
    appendChecksum: false,
    epoch,
  };
}

/** Has the sidecars of ended segments written, one at a time and oldest first, until each is durable. */
export class SidecarWriter {
  private readonly index: JournalIndex;
  private readonly background: Background;
  private readonly directory: string;
  private readonly shardId: number;
  private readonly epoch: number;
  private readonly onSealed: () => void;
  private inFlight = false;
  private retryAtMs = 0;
  private retryAfterMs: number = JOURNAL_LIMITS.retryAfterMs;
  private nowMs = 0;

  /** @param onSealed called whenever another segment has its sidecar. */
  constructor(
    index: JournalIndex,
    background: Background,
    folder: { readonly directory: string; readonly shardId: number; readonly epoch: number },
    onSealed: () => void,
  ) {
    this.index = index;
    this.background = background;
    this.directory = folder.directory;
    this.shardId = folder.shardId;
    this.epoch = folder.epoch;
    this.onSealed = onSealed;
  }

  /** Starts the next job if there is one to start. Cheap when there is none. */
  poll(nowMs: number): void {
    this.nowMs = nowMs;
    if (this.inFlight || nowMs < this.retryAtMs) return;
    const segment = this.index.oldestUnsealed();
    if (segment === undefined) return;
    this.inFlight = true;
    this.background.submit(sidecarJob(segment, this.directory, this.shardId, this.epoch), (error) => {
      this.inFlight = false;
      if (error !== undefined) return this.retryLater();
      this.retryAtMs = 0;
      this.retryAfterMs = JOURNAL_LIMITS.retryAfterMs;
      this.index.sealOldest(this.nowMs);
      this.onSealed();
      this.poll(this.nowMs);
    });
  }

  private retryLater(): void {
    this.retryAtMs = this.nowMs + this.retryAfterMs;
    this.retryAfterMs = Math.min(this.retryAfterMs * 2, JOURNAL_LIMITS.retryAfterMsMax);
  }
}
