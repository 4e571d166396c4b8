import { LatencyRecorder } from "../measure/latency.ts";
import { monotonicMs } from "../measure/system-clock.ts";
import type { LoadContext } from "./load-context.ts";
import type { LatenessResult, LoadSchedule } from "./load-task.ts";
import { OpenLoopSchedule } from "./open-loop-schedule.ts";
import { NOTHING_DUE, Pacer } from "./pacer.ts";

/** Longest turn before the event loop has its own. */
const TURN_MS_MAX = 1;
/** At a rate the clock is read again after so many records of a turn. */
const RECORDS_PER_CLOCK = 8;

/** One connection that sends. */
export abstract class Lane {
  /** Records sent so far. */
  sent = 0;
  /** Number of the lane. */
  index = 0;
  /** Records that were due and could not be sent yet. Only at a rate. */
  backlog = 0;
  /** There was no room; `PacedLanes.unblock` ends it. */
  blocked = false;
  /** Something was sent that `push` has not pushed. */
  dirty = false;

  /** Sends up to `count` records that were to be sent at `intendedMs`. Fewer than that: no room until `unblock`. */
  abstract send(count: number, intendedMs: number): number;
  abstract push(): void;
}

/** Keeps the lanes of a generator sending: at the task's rate on a fixed schedule, or as fast as they take. */
export class PacedLanes<L extends Lane> {
  readonly lanes: L[] = [];
  readonly #context: LoadContext;
  readonly #pacer: Pacer;
  readonly #lateness: LatencyRecorder = new LatencyRecorder();
  /** Lanes that have room again. */
  #resumed: L[] = [];
  #dirty: L[] = [];
  #schedule: OpenLoopSchedule | undefined;
  #startAtMs: number = Number.POSITIVE_INFINITY;
  #nextBurst = 0;
  #lanesDone = 0;
  #aborted = false;
  /** As of the last look, and how many records may be sent until the next one. */
  #nowMs = 0;
  #untilClock = 0;
  #turnEndMs = 0;
  /** Bursts of the schedule that are sent at all: once the load is to stop, those of the window. */
  #burstsMax: number = Number.POSITIVE_INFINITY;
  #heldBack = 0;

  constructor(context: LoadContext) {
    const { recordsPerSecond, waiting } = context.task;
    const turn = recordsPerSecond === null ? () => this.#saturate() : () => this.#keepSchedule();
    this.#context = context;
    this.#pacer = new Pacer(() => this.#guarded(turn), waiting ?? "nap");
  }

  add(lane: L): void {
    lane.index = this.lanes.length;
    this.lanes.push(lane);
  }

  start(schedule: LoadSchedule): void {
    const { recordsPerSecond, burst } = this.#context.task;
    this.#startAtMs = schedule.startAtMs;
    if (recordsPerSecond !== null) {
      this.#schedule = new OpenLoopSchedule(recordsPerSecond, schedule.startAtMs, burst, this.lanes.length);
    }
    this.#pacer.wake();
  }

  /**
   * Nothing more becomes due. At a rate what was due in the window is still sent, however late, for to leave it out would be
   * to leave out the longest latencies.
   */
  stop(): void {
    if (this.#schedule === undefined) this.#pacer.stop();
    else this.#burstsMax = this.#schedule.burstsDue(this.#context.meter.windowEndMs);
  }

  /** Sends nothing more, whatever is due. */
  abort(): void {
    this.#aborted = true;
    this.#pacer.stop();
  }

  /** Records that were due and are still to be sent; after `stop()` they are those of the window. */
  get behind(): number {
    if (this.#schedule === undefined || this.#aborted || this.#lanesDone === this.lanes.length) return 0;
    const due = Math.min(this.#burstsMax, this.#schedule.burstsDue(monotonicMs()));
    const begun = this.lanes.reduce((sum, lane) => sum + lane.backlog, 0);
    return begun + Math.max(0, due - this.#nextBurst) * this.#context.task.burst;
  }

  /** There is room again. */
  unblock(lane: L): void {
    if (!lane.blocked) return;
    lane.blocked = false;
    if (this.#schedule !== undefined) this.#resumed.push(lane);
    this.#pacer.wake();
  }

  /** Records of the window that were sent late because there was no room. */
  get heldBack(): number {
    return this.#heldBack;
  }

  /** Of what was not held back: how late this generator itself was. Undefined in saturation. */
  lateness(): LatenessResult | undefined {
    if (this.#schedule === undefined) return undefined;
    const { count, p50, p99, max } = this.#lateness.summary();
    return { count, p50, p99, max };
  }

  #guarded(turn: () => number): number {
    try {
      return turn();
    } catch (error) {
      this.#pacer.stop();
      this.#context.failed(error);
      return NOTHING_DUE;
    }
  }

  #saturate(): number {
    const { burst } = this.#context.task;
    let nowMs = monotonicMs();
    if (nowMs < this.#startAtMs) return this.#startAtMs;
    let isOpen = false;
    for (const lane of this.lanes) {
      const wanted = lane.blocked ? 0 : this.#wanted(lane, burst);
      if (wanted === 0) continue;
      const sent = lane.send(wanted, nowMs);
      this.#sentMore(lane, sent);
      lane.blocked = sent < wanted;
      if (sent > 0) lane.push();
      isOpen ||= !lane.blocked;
      nowMs = monotonicMs();
    }
    return isOpen ? nowMs : NOTHING_DUE;
  }

  #keepSchedule(): number {
    const schedule = this.#schedule as OpenLoopSchedule;
    const { burst } = this.#context.task;
    const { length } = this.lanes;
    const startedMs = monotonicMs();
    this.#nowMs = startedMs;
    this.#untilClock = RECORDS_PER_CLOCK;
    this.#turnEndMs = startedMs + TURN_MS_MAX;
    const resumed = this.#resumed;
    this.#resumed = [];
    for (const lane of resumed) this.#catchUp(lane, true);
    const due = Math.min(this.#burstsMax, schedule.burstsDue(startedMs));
    while (this.#nextBurst < due && this.#nowMs < this.#turnEndMs) {
      const lane = this.lanes[this.#nextBurst % length] as L;
      const isBehind = lane.backlog > 0;
      lane.backlog += burst;
      this.#nextBurst += 1;
      if (!lane.blocked) this.#catchUp(lane, isBehind);
    }
    this.#pushDirty();
    if (this.#lanesDone === length) return NOTHING_DUE;
    if (this.#resumed.length > 0) return startedMs;
    return this.#nextBurst < this.#burstsMax ? schedule.burstMs(this.#nextBurst) : NOTHING_DUE;
  }

  /** Sends what is due, each record under the time at which it was. */
  #catchUp(lane: L, isHeldBack: boolean): void {
    const schedule = this.#schedule as OpenLoopSchedule;
    const { burst } = this.#context.task;
    const { windowStartMs, windowEndMs } = this.#context.meter;
    while (lane.backlog > 0 && !lane.blocked) {
      const dueMs = schedule.recordMs(lane.index, lane.sent);
      const wanted = this.#wanted(lane, Math.min(lane.backlog, burst - (lane.sent % burst)));
      if (wanted === 0) {
        lane.backlog = 0;
        return;
      }
      if (this.#untilClock <= 0) this.#readClock();
      if (isHeldBack && this.#nowMs >= this.#turnEndMs) {
        this.#resumed.push(lane);
        return;
      }
      const lateMs = this.#nowMs - dueMs;
      const sent = lane.send(wanted, dueMs);
      this.#sentMore(lane, sent);
      this.#untilClock -= sent;
      lane.backlog -= sent;
      lane.blocked = sent < wanted;
      if (sent > 0 && !lane.dirty) {
        lane.dirty = true;
        this.#dirty.push(lane);
      }
      if (dueMs < windowStartMs || dueMs >= windowEndMs) continue;
      if (isHeldBack) this.#heldBack += sent;
      else if (sent > 0) this.#lateness.recordMany(lateMs, sent);
    }
  }

  #wanted(lane: L, count: number): number {
    const { recordsMax } = this.#context.task;
    return recordsMax === undefined ? count : Math.min(count, recordsMax - lane.sent);
  }

  #sentMore(lane: L, count: number): void {
    lane.sent += count;
    this.#context.meter.sent += count;
    if (count > 0 && lane.sent === this.#context.task.recordsMax) this.#lanesDone += 1;
  }

  #readClock(): void {
    this.#nowMs = monotonicMs();
    this.#untilClock = RECORDS_PER_CLOCK;
  }

  #pushDirty(): void {
    const dirty = this.#dirty;
    for (const lane of dirty) {
      lane.dirty = false;
      lane.push();
    }
    dirty.length = 0;
  }
}
