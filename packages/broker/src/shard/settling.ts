import type { SettlingOwner } from "@millrace/journal/internal";
import { BROKER_LIMITS } from "../limits.ts";
import type { LogLevel } from "../logger.ts";
import { settleRows } from "./retention-rows.ts";
import type { ShardState } from "./shard-state.ts";

/** What settling needs of the journal. */
export interface SettlingJournal {
  readonly stagedPosition: number;
  readonly backlogBytes: number;
  readonly settledPosition: number;
  readonly settledGeneration: number;
  readonly settledFiles: readonly unknown[];
  readonly settlingFailure: Error | undefined;
  readonly checkpointPending: boolean;
  readonly checkpointFailure: Error | undefined;
  readonly recovery: { readonly checkpointPosition: number };
  startSettling(owner: SettlingOwner): void;
  takeSettlingWarnings(): string[];
  activeSegmentAgeMs(nowMs: number): number;
  roll(): boolean;
}

export interface SettlingContext {
  readonly state: ShardState;
  readonly journal: SettlingJournal;
  readonly log: (level: LogLevel, event: string, fields: Record<string, unknown>) => void;
  /** There was no room for the next segment. */
  readonly foundDiskFull: () => void;
  /** Stages a STATE entry without any change. */
  readonly stageNothing: () => void;
  /** Takes a checkpoint, and tells of it by `checkpointed`. */
  readonly checkpoint: () => void;
}

/** Looks at what is due at most so often … */
const LOOK_MS = 250;
/** … and, while ended segments wait to be settled, at least so often. */
const BACKLOG_LOOK_MS = 1_000;

/**
 * A shard's part in the settling of its journal. It says which partitions exist; it ends the active segment when that holds
 * old entries, since only ended segments are settled and only what is settled can expire; and where nothing else leads to
 * checkpoints, it takes those that the journal needs to delete what is settled. Shard thread only.
 */
export class ShardSettling implements SettlingOwner {
  readonly #context: SettlingContext;
  #started = false;
  #lookAtMs = 0;
  /** Of a segment that holds entries; counted from the settings of the topics when it is undefined. */
  #segmentAgeMs: number | undefined;
  /** Behind it there is nothing but entries of our own making. */
  #restedPosition = 0;
  #startedMs = 0;
  /** The two newest checkpoints that are known to be durable; the next one, if one was asked for. */
  #olderCheckpoint = 0;
  #newerCheckpoint: number;
  #requestedCheckpoint: number | undefined;
  #lastCheckpointMs = 0;
  /** A topic was deleted or truncated: until when its space is hurried for, and up to where it lies. */
  #spaceUntilMs = 0;
  #spacePosition: number | undefined;
  #copyUntilMs = 0;
  #lastSpaceRollMs = Number.NEGATIVE_INFINITY;
  #generation = 0;
  #failure = "";

  constructor(context: SettlingContext) {
    this.#context = context;
    this.#newerCheckpoint = context.journal.recovery.checkpointPosition;
    this.#generation = context.journal.settledGeneration;
  }

  /** The shard knows its partitions: what belongs to none is dropped from here on. */
  start(nowMs: number): void {
    if (this.#started) return;
    this.#started = true;
    this.#startedMs = nowMs;
    this.#lastCheckpointMs = nowMs;
    this.#restedPosition = this.#context.journal.stagedPosition;
    this.#context.journal.startSettling(this);
  }

  settleRows(): Float64Array {
    return settleRows(this.#context.state.partitions.values());
  }

  /** Topics have come, gone, or got other settings. */
  changed(): void {
    this.#segmentAgeMs = undefined;
  }

  /** Entries were given up: their space is wanted soon. */
  wantSpace(nowMs: number): void {
    this.#spaceUntilMs = nowMs + BROKER_LIMITS.spaceWantedMs;
    this.#copyUntilMs = this.#spaceUntilMs;
    this.#spacePosition = undefined;
    this.#lookAtMs = 0;
  }

  /** Entries were given up not long ago: copying what lives frees the rest, also when there is hardly room for it. */
  isCopyWorthwhile(nowMs: number): boolean {
    return nowMs < this.#copyUntilMs;
  }

  /** A checkpoint of everything staged was asked for. */
  checkpointed(position: number, nowMs: number): void {
    this.#noteCheckpoint();
    this.#requestedCheckpoint = position;
    this.#lastCheckpointMs = nowMs;
  }

  /** Part of the duty cycle. @returns an amount of work */
  doWork(nowMs: number): number {
    if (!this.#started || nowMs < this.#lookAtMs) return 0;
    this.#lookAtMs = nowMs + LOOK_MS;
    this.#report();
    this.#noteCheckpoint();
    if (nowMs >= this.#rollAtMs(nowMs)) {
      this.#roll(nowMs);
      return 1;
    }
    if (nowMs >= this.#checkpointAtMs(nowMs)) {
      this.#checkpoint();
      return 1;
    }
    return 0;
  }

  nextTimerMs(nowMs: number): number {
    if (!this.#started) return Number.POSITIVE_INFINITY;
    const { backlogBytes, settlingFailure } = this.#context.journal;
    const waits =
      backlogBytes > 0 || settlingFailure !== undefined || this.#requestedCheckpoint !== undefined;
    const lookAtMs = waits ? nowMs + BACKLOG_LOOK_MS : Number.POSITIVE_INFINITY;
    const atMs = Math.min(this.#rollAtMs(nowMs), this.#checkpointAtMs(nowMs), lookAtMs);
    return Math.max(0, Math.max(atMs, this.#lookAtMs) - nowMs);
  }

  /** When the active segment ends by age; Infinity when it holds nothing that is worth it. */
  #rollAtMs(nowMs: number): number {
    const { journal } = this.#context;
    const ageMs = journal.activeSegmentAgeMs(nowMs);
    if (journal.stagedPosition <= this.#restedPosition) {
      // What an earlier owner wrote is settled behind the first entry of this one.
      const waits = journal.backlogBytes > 0 && ageMs === 0;
      return waits ? this.#startedMs + this.#segmentAge() : Number.POSITIVE_INFINITY;
    }
    const byAgeMs = nowMs - ageMs + this.#segmentAge();
    if (this.#spacePosition !== undefined || nowMs >= this.#spaceUntilMs) return byAgeMs;
    return Math.min(byAgeMs, this.#lastSpaceRollMs + BROKER_LIMITS.spaceRollMs);
  }

  #segmentAge(): number {
    this.#segmentAgeMs ??= segmentAgeMs(this.#context.state);
    return this.#segmentAgeMs;
  }

  #roll(nowMs: number): void {
    const { journal, foundDiskFull, stageNothing } = this.#context;
    const position = journal.stagedPosition;
    if (position > this.#restedPosition && !journal.roll()) {
      // The segment goes on, and the next look tries again.
      foundDiskFull();
      return;
    }
    if (nowMs < this.#spaceUntilMs && this.#spacePosition === undefined) {
      this.#spacePosition = position;
      this.#lastSpaceRollMs = nowMs;
    }
    stageNothing();
    this.#restedPosition = journal.stagedPosition;
  }

  /** When a checkpoint is taken for the sake of deleting what is settled; Infinity when none stands in the way. */
  #checkpointAtMs(nowMs: number): number {
    const { journal } = this.#context;
    const { settledPosition } = journal;
    if (settledPosition <= this.#olderCheckpoint || journal.checkpointPending)
      return Number.POSITIVE_INFINITY;
    const { idleCheckpointMs, spaceCheckpointMs } = BROKER_LIMITS;
    const hurries = nowMs < this.#spaceUntilMs && settledPosition >= (this.#spacePosition ?? 0);
    return this.#lastCheckpointMs + (hurries ? spaceCheckpointMs : idleCheckpointMs);
  }

  #checkpoint(): void {
    const { journal, stageNothing, checkpoint } = this.#context;
    // Two checkpoints of one position would be one.
    if (journal.stagedPosition <= (this.#requestedCheckpoint ?? this.#newerCheckpoint)) {
      const rested = journal.stagedPosition <= this.#restedPosition;
      stageNothing();
      if (rested) this.#restedPosition = journal.stagedPosition;
    }
    checkpoint();
  }

  #noteCheckpoint(): void {
    const requested = this.#requestedCheckpoint;
    const { journal } = this.#context;
    if (requested === undefined || journal.checkpointPending) return;
    this.#requestedCheckpoint = undefined;
    if (journal.checkpointFailure !== undefined) return;
    this.#olderCheckpoint = this.#newerCheckpoint;
    this.#newerCheckpoint = requested;
    if (this.#spacePosition !== undefined && this.#olderCheckpoint >= this.#spacePosition) {
      this.#spaceUntilMs = 0;
    }
  }

  #report(): void {
    const { journal, log } = this.#context;
    const { settledGeneration, settlingFailure } = journal;
    if (settledGeneration !== this.#generation) {
      this.#generation = settledGeneration;
      const { settledPosition, settledFiles, backlogBytes } = journal;
      log("debug", "settled", { settledPosition, files: settledFiles.length, backlogBytes });
    }
    for (const warning of journal.takeSettlingWarnings()) log("warn", "settling-warning", { warning });
    const failure = settlingFailure?.message ?? "";
    if (failure === this.#failure) return;
    this.#failure = failure;
    if (failure !== "") log("warn", "settling-failed", { error: failure });
  }
}

/** A segment is kept open for a part of the least retention, or what it holds would be kept for that much longer. */
function segmentAgeMs(state: ShardState): number {
  const { segmentAgeMsMin, segmentAgeMsMax, segmentAgeRetentionPart } = BROKER_LIMITS;
  let least = Number.POSITIVE_INFINITY;
  for (const { retentionMs } of state.partitions.values()) {
    if (retentionMs > 0) least = Math.min(least, retentionMs);
  }
  return Math.min(segmentAgeMsMax, Math.max(segmentAgeMsMin, least * segmentAgeRetentionPart));
}
