import type { Journal } from "@millrace/journal";
import { type DiskReserve, isDiskFull } from "@millrace/journal/internal";
import { ERROR_CODES } from "@millrace/protocol";
import { BROKER_LIMITS } from "../limits.ts";
import type { RefusalReason } from "../link/link-buffers.ts";
import type { LogLevel } from "../logger.ts";
import { type AcknowledgedContext, AcknowledgedRetention } from "./acknowledged-retention.ts";
import { BackPressure } from "./back-pressure.ts";
import type { Clock } from "./clock.ts";
import type { LogStarts } from "./log-starts.ts";
import { Retention } from "./retention.ts";
import { ShardSettling } from "./settling.ts";
import type { ShardState } from "./shard-state.ts";

export interface UpkeepContext {
  readonly state: ShardState;
  readonly journal: Journal;
  readonly logStarts: LogStarts;
  readonly clock: Clock;
  readonly entries: AcknowledgedContext["entries"];
  readonly dispatcher: AcknowledgedContext["dispatcher"];
  readonly segmentBytes: number;
  readonly reserve: DiskReserve | undefined;
  /** Default BROKER_LIMITS.retentionCheckMs. */
  readonly retentionCheckMs: number | undefined;
  readonly log: (level: LogLevel, event: string, fields: Record<string, unknown>) => void;
  /** Another reason to refuse publishes holds, or none any more. */
  readonly tellRefusal: (reason: RefusalReason | undefined) => void;
  readonly stageNothing: () => void;
  readonly checkpoint: () => void;
}

/**
 * What keeps a shard's log fit to be kept: settling, retention, the reserve on the disk, and the refusal of publishes while
 * one of them is behind. Shard thread only.
 */
export class Upkeep {
  readonly retention: Retention;
  readonly pressure: BackPressure;
  readonly #context: UpkeepContext;
  readonly #settling: ShardSettling;
  readonly #acknowledged: AcknowledgedRetention;
  #diskLow = false;
  /** Position behind which publishes wait for another look at the volume. */
  #roomEnd = Number.POSITIVE_INFINITY;
  #refusal: RefusalReason | undefined;
  #started = false;
  /** Bytes held behind the end of the journal, and whether there was room for all; see Journal.holdRoom. */
  #heldBytes = 0;
  #holdsAll = true;
  #holdAtMs = 0;
  /** Files have found no room since then. */
  #filesWaitSinceMs = Number.POSITIVE_INFINITY;

  constructor(context: UpkeepContext) {
    this.#context = context;
    this.retention = new Retention({
      ...context,
      ...(context.retentionCheckMs === undefined ? {} : { checkMs: context.retentionCheckMs }),
    });
    this.#acknowledged = new AcknowledgedRetention({
      ...context,
      changed: (topicId) => this.retention.changed(topicId),
    });
    this.pressure = new BackPressure(context.segmentBytes);
    this.#settling = new ShardSettling({ ...context, foundDiskFull: () => this.releaseReserve() });
  }

  /** The shard was reconciled with the catalog: it knows all its partitions. */
  start(): void {
    this.#started = true;
    this.#settling.changed();
    this.#settling.start(this.#context.clock.monotonicMs());
    this.retention.start();
  }

  /** The topic was opened or altered, truncated, or deleted; the last two give up entries. */
  changed(topicId: number, givesUp: boolean): void {
    this.#settling.changed();
    this.retention.changed(topicId);
    if (givesUp) this.#settling.wantSpace(this.#context.clock.monotonicMs());
  }

  /** The volume is low, or has room: for so many bytes of publishes, until this is called again. */
  setDiskRoom(low: boolean, roomBytes: number): void {
    const { reserve, journal } = this.#context;
    if (this.#diskLow && !low) reserve?.expectRoom();
    this.#diskLow = low;
    this.#roomEnd = low ? Number.POSITIVE_INFINITY : journal.stagedPosition + roomBytes;
  }

  checkpointed(position: number): void {
    this.#settling.checkpointed(position, this.#context.clock.monotonicMs());
  }

  /** Whether a publish is looked at now; else it waits, and what comes after it. */
  get admits(): boolean {
    return this.pressure.admits && this.#context.journal.stagedPosition < this.#roomEnd;
  }

  /** Why publishes are refused; undefined while they are taken. */
  get refusal(): RefusalReason | undefined {
    return this.#refusal;
  }

  /** The wire's error number for refused publishes, 0 while they are taken. */
  get refusalNumber(): number {
    if (this.#refusal === undefined) return 0;
    return ERROR_CODES[this.#refusal === "settling-behind" ? "THROTTLED" : "DISK_FULL"].code;
  }

  /** Begins a duty cycle: decides whether publishes are taken in it. */
  begin(nowMs: number): void {
    this.pressure.update(nowMs, this.#started ? this.#context.journal.backlogBytes : 0);
    this.#judge();
  }

  /** The other work of a duty cycle. @returns an amount of work */
  doWork(nowMs: number): number {
    const { journal, reserve, state, segmentBytes } = this.#context;
    // Some of what the next checkpoint has to write, ahead of it.
    if (journal.bytesSinceCheckpoint * 4 >= segmentBytes * 3) state.prepareCheckpoint();
    journal.adoptOnly = this.#isShort && !this.#settling.isCopyWorthwhile(nowMs);
    this.#makeRoomForFiles(nowMs);
    this.holdRoom(nowMs);
    if (this.#mayRestore) reserve?.restore(nowMs);
    // What settling stages can wait, and while the journal is full it would only add to what waits.
    const settled = journal.isFull ? 0 : this.#settling.doWork(nowMs);
    const moved = this.#started ? this.#acknowledged.doWork(nowMs) : 0;
    return settled + moved + this.retention.doWork(nowMs);
  }

  nextTimerMs(nowMs: number): number {
    const holdAtMs = this.#isShort && !this.#holdsAll ? this.#holdAtMs : Number.POSITIVE_INFINITY;
    const restoreAtMs = this.#mayRestore ? this.#context.reserve?.restoreAtMs : undefined;
    return Math.min(
      this.#settling.nextTimerMs(nowMs),
      this.retention.nextTimerMs(nowMs),
      this.#acknowledged.nextTimerMs(nowMs),
      this.pressure.nextTimerMs,
      Math.min(holdAtMs, restoreAtMs ?? Number.POSITIVE_INFINITY) - nowMs,
    );
  }

  /** A write found the disk full. @returns whether there is room now, so that it may be tried again */
  releaseReserve(): boolean {
    const released = this.#context.reserve?.release() ?? false;
    if (!released) return false;
    this.#holdAtMs = 0;
    this.#context.log("warn", "reserve-released", {});
    return true;
  }

  /**
   * While the disk is short, sees to it that what frees space finds room whatever others take: what is held cannot be taken,
   * as what the reserve gives up can. Call it also right behind the write for which the reserve was given up.
   */
  holdRoom(nowMs: number): void {
    const { journal, reserve } = this.#context;
    const wanted = this.#isShort ? heldBytesFor(reserve?.sizeBytes ?? 0) : 0;
    const isAnew = wanted !== this.#heldBytes;
    if (!isAnew && (wanted === 0 || nowMs < this.#holdAtMs)) return;
    this.#heldBytes = wanted;
    this.#holdAtMs = nowMs + BROKER_LIMITS.heldRoomCheckMs;
    this.#holdsAll = journal.holdRoom(wanted) || (this.releaseReserve() && journal.holdRoom(wanted));
  }

  /**
   * The reserve is given up for files at once when they free what somebody has given up, else only if they have waited: while
   * others fill the disk, they would take it.
   */
  #makeRoomForFiles(nowMs: number): void {
    if (!this.#filesFindNoRoom) {
      this.#filesWaitSinceMs = Number.POSITIVE_INFINITY;
      return;
    }
    this.#filesWaitSinceMs = Math.min(this.#filesWaitSinceMs, nowMs);
    const waited = nowMs - this.#filesWaitSinceMs >= BROKER_LIMITS.filesWaitMs;
    if (waited || this.#settling.isCopyWorthwhile(nowMs)) this.releaseReserve();
  }

  /** What gives space back in the end has to be written first. */
  get #filesFindNoRoom(): boolean {
    const { settlingFailure, checkpointFailure } = this.#context.journal;
    return isDiskFull(settlingFailure) || isDiskFull(checkpointFailure);
  }

  get #mayRestore(): boolean {
    return this.#started && !this.#diskLow && !this.#filesFindNoRoom;
  }

  get #isShort(): boolean {
    return this.#diskLow || this.#context.reserve?.isSpent === true;
  }

  #judge(): void {
    const refusal = this.#reason();
    if (refusal === this.#refusal) return;
    const before = this.#refusal;
    this.#refusal = refusal;
    const { journal, log, tellRefusal } = this.#context;
    tellRefusal(refusal);
    const { backlogBytes } = journal;
    // A low disk concerns all shards, and the node has said so.
    if (refusal !== undefined && refusal !== "disk-low") {
      const retryAfterMs = BROKER_LIMITS.retryAfterMs;
      log("warn", "publishes-refused", { reason: refusal, backlogBytes, retryAfterMs });
    } else if (refusal === undefined && before !== "disk-low") {
      log("info", "publishes-accepted", { backlogBytes });
    }
  }

  #reason(): RefusalReason | undefined {
    const { journal, reserve } = this.#context;
    if (journal.isFull || reserve?.isSpent === true) return "disk-full";
    if (this.#diskLow) return "disk-low";
    return this.pressure.refuses ? "settling-behind" : undefined;
  }
}

function heldBytesFor(reserveBytes: number): number {
  const { heldBytesMax, heldReservePart } = BROKER_LIMITS;
  return Math.min(heldBytesMax, Math.floor(reserveBytes * heldReservePart));
}
