import type { Publisher } from "../driver/driver.ts";
import { LatencyRecorder } from "../measure/latency.ts";
import { delay, monotonicMs } from "../measure/system-clock.ts";
import { connectEach } from "./connect-each.ts";
import { InFlightRuns } from "./in-flight-runs.ts";
import type { LoadContext } from "./load-context.ts";
import type { RoleResult, RoleWork } from "./load-role.ts";
import type { LoadSchedule } from "./load-task.ts";
import { NextAnswer } from "./next-answer.ts";
import { Lane, PacedLanes } from "./paced-lanes.ts";
import { StampedValue } from "./value-stamp.ts";

/** How often it is looked whether all that was due is sent. */
const BEHIND_STEP_MS = 2;

/** What the lanes of one generator have in common. */
interface Shared {
  readonly context: LoadContext;
  readonly value: StampedValue;
  readonly keys: readonly string[];
  readonly ackLatency: LatencyRecorder;
  readonly unblock: (lane: PublishLane) => void;
  /** Something was acknowledged. */
  readonly onSettled: () => void;
}

/** Publishes over all connections of a task. */
export class Publishing implements RoleWork {
  readonly #context: LoadContext;
  readonly #paced: PacedLanes<PublishLane>;
  readonly #ackLatency: LatencyRecorder = new LatencyRecorder();
  readonly #shared: Shared;
  readonly #answers: NextAnswer = new NextAnswer();

  constructor(context: LoadContext) {
    const { task } = context;
    this.#context = context;
    this.#paced = new PacedLanes(context);
    this.#shared = {
      context,
      value: new StampedValue(task.settings.valueBytes),
      keys: Array.from({ length: task.keys }, (_, index) => `key-${index}`),
      ackLatency: this.#ackLatency,
      unblock: (lane) => this.#paced.unblock(lane),
      onSettled: () => this.#answers.came(),
    };
  }

  async connect(): Promise<void> {
    const { driver, failed, task } = this.#context;
    await connectEach(task.connections, async () => {
      const lane = new PublishLane(this.#shared);
      lane.publisher = await driver.connectPublisher(task.settings, {
        acknowledged: (count) => lane.acknowledged(count),
        failed,
      });
      this.#paced.add(lane);
    });
  }

  start(schedule: LoadSchedule): void {
    this.#paced.start(schedule);
  }

  stop(): void {
    this.#paced.stop();
    for (const { publisher } of this.#paced.lanes) publisher?.push();
  }

  abort(): void {
    this.#paced.abort();
  }

  async drained(signal: AbortSignal): Promise<void> {
    signal.addEventListener("abort", () => this.#answers.came());
    const { lanes } = this.#paced;
    while (!signal.aborted && this.#paced.behind > 0) await delay(BEHIND_STEP_MS, signal);
    await Promise.all(lanes.map((lane) => lane.publisher?.flush()));
    // The promise of a flush may be ahead of the events about the same records.
    while (!signal.aborted && lanes.some((lane) => lane.inFlight.records > 0)) {
      await this.#answers.next();
    }
  }

  missing(): number {
    return this.#paced.lanes.reduce((sum, lane) => sum + lane.inFlight.records, this.#paced.behind);
  }

  async close(): Promise<void> {
    await Promise.all(this.#paced.lanes.map((lane) => lane.publisher?.close()));
  }

  result(): RoleResult {
    const lateMs = this.#paced.lateness();
    return {
      heldBack: this.#paced.heldBack,
      ackLatency: this.#ackLatency.encode(),
      ...(lateMs === undefined ? {} : { lateMs }),
    };
  }
}

/** One connection that publishes. */
class PublishLane extends Lane {
  publisher: Publisher | undefined;
  readonly inFlight: InFlightRuns = new InFlightRuns();
  readonly #shared: Shared;
  readonly #inFlightMax: number;
  /** Room from which on to publish again: in saturation that for a burst, for less would mean a turn for each record. */
  readonly #roomMin: number;
  #awaitsAcks = false;
  #nextKey = 0;

  constructor(shared: Shared) {
    super();
    const { inFlightMax, burst, recordsPerSecond } = shared.context.task;
    this.#shared = shared;
    this.#inFlightMax = inFlightMax;
    this.#roomMin = recordsPerSecond === null ? Math.max(1, Math.min(burst, inFlightMax >> 1)) : 1;
  }

  override send(count: number, intendedMs: number): number {
    const { value, keys, context } = this.#shared;
    const { settings } = context.task;
    const publisher = this.publisher as Publisher;
    const { bytes } = value;
    const room = this.#inFlightMax - this.inFlight.records;
    const wanted = Math.min(count, room);
    if (settings.stamped) value.stamp(intendedMs);
    let sent = 0;
    if (keys.length === 0) {
      while (sent < wanted && publisher.publish(bytes)) sent += 1;
    } else {
      while (sent < wanted && publisher.publish(bytes, keys[this.#nextKey])) {
        sent += 1;
        this.#nextKey = this.#nextKey + 1 === keys.length ? 0 : this.#nextKey + 1;
      }
    }
    if (sent > 0) this.inFlight.add(intendedMs, sent);
    if (sent < wanted) this.#awaitRoom(publisher);
    else if (sent < count) this.#awaitsAcks = true;
    return sent;
  }

  override push(): void {
    this.publisher?.push();
  }

  acknowledged(count: number): void {
    const { context, ackLatency, unblock, onSettled } = this.#shared;
    const { meter, task } = context;
    const settled = this.inFlight.settle(
      count,
      monotonicMs(),
      meter.windowStartMs,
      meter.windowEndMs,
      ackLatency,
    );
    if (settled < count) {
      context.failed(
        new Error(`the driver reported more records than were published: ${count - settled} too many`),
      );
    }
    meter.records += settled;
    meter.bytes += settled * task.settings.valueBytes;
    if (this.#awaitsAcks && this.#inFlightMax - this.inFlight.records >= this.#roomMin) {
      this.#awaitsAcks = false;
      unblock(this);
    }
    onSettled();
  }

  #awaitRoom(publisher: Publisher): void {
    const { context, unblock } = this.#shared;
    // Not in this turn: the lane is marked as blocked only once `send` has returned.
    publisher.room().then(() => unblock(this), context.failed);
  }
}
