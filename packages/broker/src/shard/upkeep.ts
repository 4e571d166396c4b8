import type { Journal } from "@millrace/journal";
import { type DiskReserve, isDiskFull } from "@millrace/journal/internal";
import { ERROR_CODES } from "@millrace/protocol";
import { BROKER_LIMITS } from "../limits.ts";
import type { LogLevel } from "../logger.ts";
import { BackPressure } from "./back-pressure.ts";
import type { Clock } from "./clock.ts";
import type { LogStarts } from "./log-starts.ts";
import { Retention } from "./retention.ts";
import { ShardSettling } from "./settling.ts";
import type { ShardState } from "./shard-state.ts";

/** Why a shard refuses publishes. */
export type RefusalReason = "disk-full" | "disk-low" | "settling-behind";

export interface UpkeepContext {
  readonly state: ShardState;
  readonly journal: Journal;
  readonly logStarts: LogStarts;
  readonly clock: Clock;
  readonly segmentBytes: number;
  readonly reserve: DiskReserve | undefined;
  /** Default BROKER_LIMITS.retentionCheckMs. */
  readonly retentionCheckMs: number | undefined;
  readonly log: (level: LogLevel, event: string, fields: Record<string, unknown>) => void;
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
  #diskLow = false;
  #refusal: RefusalReason | undefined;
  #started = false;

  constructor(context: UpkeepContext) {
    this.#context = context;
    this.retention = new Retention({
      ...context,
      ...(context.retentionCheckMs === undefined ? {} : { checkMs: context.retentionCheckMs }),
    });
    this.pressure = new BackPressure(context.segmentBytes);
    this.#settling = new ShardSettling(context);
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

  /** The volume has become low, or has room again. */
  setDiskLow(low: boolean): void {
    if (this.#diskLow && !low) this.#context.reserve?.expectRoom();
    this.#diskLow = low;
  }

  checkpointed(position: number): void {
    this.#settling.checkpointed(position, this.#context.clock.monotonicMs());
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
    const { journal, reserve } = this.#context;
    journal.adoptOnly = this.#isShort && !this.#settling.isCopyWorthwhile(nowMs);
    if (this.#filesFindNoRoom) this.releaseReserve();
    if (this.#mayRestore) reserve?.restore(nowMs);
    // What settling stages can wait, and while the journal is full it would only add to what waits.
    const settled = journal.isFull ? 0 : this.#settling.doWork(nowMs);
    return settled + this.retention.doWork(nowMs);
  }

  nextTimerMs(nowMs: number): number {
    const restoreAtMs = this.#mayRestore ? this.#context.reserve?.restoreAtMs : undefined;
    return Math.min(
      this.#settling.nextTimerMs(nowMs),
      this.retention.nextTimerMs(nowMs),
      this.pressure.nextTimerMs,
      (restoreAtMs ?? Number.POSITIVE_INFINITY) - nowMs,
    );
  }

  /** A write found the disk full. @returns whether there is room now, so that it may be tried again */
  releaseReserve(): boolean {
    const released = this.#context.reserve?.release() ?? false;
    if (released) this.#context.log("warn", "reserve-released", {});
    return released;
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
    const { journal, log } = this.#context;
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
