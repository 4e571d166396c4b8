import type { Requester } from "../driver/driver.ts";
import { LatencyRecorder } from "../measure/latency.ts";
import { delay, monotonicMs } from "../measure/system-clock.ts";
import { connectEach } from "./connect-each.ts";
import type { LoadContext } from "./load-context.ts";
import type { RoleResult, RoleWork } from "./load-role.ts";
import type { LoadSchedule } from "./load-task.ts";
import { NextAnswer } from "./next-answer.ts";
import { Lane, PacedLanes } from "./paced-lanes.ts";
import { StampedValue } from "./value-stamp.ts";

/** Asks over all connections of a task, each with a bounded number of requests under way. */
export class Requesting implements RoleWork {
  readonly #context: LoadContext;
  readonly #paced: PacedLanes<RequestLane>;
  readonly #roundTrip: LatencyRecorder = new LatencyRecorder();
  readonly #answers: NextAnswer = new NextAnswer();

  constructor(context: LoadContext) {
    this.#context = context;
    this.#paced = new PacedLanes(context);
  }

  async connect(): Promise<void> {
    const { driver, failed, meter, task } = this.#context;
    if (driver.connectRequester === undefined) throw new Error(`${driver.client} has no requests`);
    const connectRequester = driver.connectRequester.bind(driver);
    const value = new StampedValue(task.settings.valueBytes).bytes;
    await connectEach(task.connections, async () => {
      const requester = await connectRequester(task.settings);
      const answered = (lane: RequestLane, intendedMs: number): void => {
        meter.records += 1;
        meter.bytes += value.length;
        if (intendedMs >= meter.windowStartMs && intendedMs < meter.windowEndMs) {
          this.#roundTrip.record(monotonicMs() - intendedMs);
        }
        this.#paced.unblock(lane);
        this.#answers.came();
      };
      this.#paced.add(new RequestLane(requester, value, task.inFlightMax, answered, failed));
    });
  }

  start(schedule: LoadSchedule): void {
    this.#paced.start(schedule);
  }

  stop(): void {
    this.#paced.stop();
  }

  abort(): void {
    this.#paced.abort();
  }

  async drained(signal: AbortSignal): Promise<void> {
    signal.addEventListener("abort", () => this.#answers.came());
    while (!signal.aborted && this.missing() > 0) {
      // Without one under way nothing would wake it: what is due is not yet sent.
      await (this.#underWay() > 0 ? this.#answers.next() : delay(1, signal));
    }
  }

  missing(): number {
    return this.#underWay() + this.#paced.behind;
  }

  #underWay(): number {
    return this.#paced.lanes.reduce((sum, lane) => sum + lane.underWay, 0);
  }

  async close(): Promise<void> {
    await Promise.all(this.#paced.lanes.map((lane) => lane.requester.close()));
  }

  result(): RoleResult {
    const lateMs = this.#paced.lateness();
    return {
      heldBack: this.#paced.heldBack,
      roundTrip: this.#roundTrip.encode(),
      ...(lateMs === undefined ? {} : { lateMs }),
    };
  }
}

/** One connection that asks. */
class RequestLane extends Lane {
  readonly requester: Requester;
  underWay = 0;
  readonly #value: Uint8Array;
  readonly #underWayMax: number;
  readonly #answered: (lane: RequestLane, intendedMs: number) => void;
  readonly #failed: (error: unknown) => void;

  constructor(
    requester: Requester,
    value: Uint8Array,
    underWayMax: number,
    answered: (lane: RequestLane, intendedMs: number) => void,
    failed: (error: unknown) => void,
  ) {
    super();
    this.requester = requester;
    this.#value = value;
    this.#underWayMax = underWayMax;
    this.#answered = answered;
    this.#failed = failed;
  }

  override send(count: number, intendedMs: number): number {
    const sent = Math.min(count, this.#underWayMax - this.underWay);
    const answered = (): void => {
      this.underWay -= 1;
      this.#answered(this, intendedMs);
    };
    this.underWay += sent;
    for (let i = 0; i < sent; i++) this.requester.request(this.#value).then(answered, this.#failed);
    return sent;
  }

  override push(): void {
    // A request is sent at once.
  }
}
