import type { SupervisorLimits } from "./supervisor-limits.ts";

/**
 *     absent ──start──▶ starting ──greeted──▶ up ──drain──▶ draining
 *       ▲ ▲                │ lost             │ lost            │ lost
 *       │ │                ▼                  ▼                 ▼
 *       │ └─────gone───── ending (SIGKILL was sent; it may be there still)
 *       │
 *     waiting (died; started again in a while)      given-up (died too often)
 *
 * `gone`, that the process is there no longer, ends each of the phases in which there is one.
 */
export type NodePhase = "absent" | "waiting" | "starting" | "up" | "draining" | "ending" | "given-up";

type LifeLimits = Pick<
  SupervisorLimits,
  | "backoffMinMs"
  | "backoffMaxMs"
  | "crashLoopDeaths"
  | "crashLoopWindowMs"
  | "stableMs"
  | "settleMinMs"
  | "settleMaxMs"
>;

/** How a process ended, as seen by who keeps it: on request, on somebody else's, by itself, or so often that it is not started again. */
export type NodeEnd = "drained" | "left" | "died" | "given-up";

/** The life of one node through all its processes. No clock, no I/O: times come with the events, in monotonic ms. */
export class NodeLife {
  readonly nodeId: number;
  readonly #limits: LifeLimits;
  #phase: NodePhase = "absent";
  #isReady = false;
  #wasDraining = false;
  #isLeaving = false;
  #readyAtMs = Number.POSITIVE_INFINITY;
  #startAtMs = Number.POSITIVE_INFINITY;
  /** When it died, of late. */
  #deathsMs: number[] = [];

  constructor(nodeId: number, limits: LifeLimits) {
    this.nodeId = nodeId;
    this.#limits = limits;
  }

  get phase(): NodePhase {
    return this.#phase;
  }

  /** It has said that it serves. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** There is a process, or may be one. */
  get hasProcess(): boolean {
    const phase = this.#phase;
    return phase === "starting" || phase === "up" || phase === "draining" || phase === "ending";
  }

  get deaths(): number {
    return this.#deathsMs.length;
  }

  /** When it can be relied on again, after the deaths that it has had; only of a ready node. */
  get settledAtMs(): number {
    if (this.deaths === 0) return this.#readyAtMs;
    const { settleMinMs, settleMaxMs } = this.#limits;
    return this.#readyAtMs + doubled(settleMinMs, this.deaths - 1, settleMaxMs);
  }

  /** When `due` has to be called; Infinity: nothing is waited for. */
  get timerMs(): number {
    return this.#phase === "waiting" ? this.#startAtMs : Number.POSITIVE_INFINITY;
  }

  /** Its process is started now, or was found; earlier deaths of one that was given up are forgotten. */
  starting(): void {
    if (this.hasProcess) throw new Error(`node ${this.nodeId} has a process: phase=${this.#phase}`);
    if (this.#phase === "given-up") this.#deathsMs = [];
    this.#phase = "starting";
    this.#isReady = false;
    this.#wasDraining = false;
    this.#isLeaving = false;
    this.#readyAtMs = Number.POSITIVE_INFINITY;
  }

  /** True if its pause is over: it is to be started. */
  due(nowMs: number): boolean {
    return this.#phase === "waiting" && nowMs >= this.#startAtMs;
  }

  greeted(isReady: boolean, nowMs: number): void {
    if (this.#phase === "starting") this.#phase = "up";
    if (isReady) this.ready(nowMs);
  }

  ready(nowMs: number): void {
    if (this.#isReady || !this.hasProcess) return;
    this.#isReady = true;
    this.#readyAtMs = nowMs;
  }

  /** True if it is to be asked to drain. */
  drain(): boolean {
    if (this.#phase !== "up") return false;
    this.#phase = "draining";
    this.#wasDraining = true;
    return true;
  }

  /** It drains without having been asked to by us: it is started again. */
  leaves(): void {
    if (this.#phase !== "up") return;
    this.#phase = "draining";
    this.#isLeaving = true;
  }

  /** It does not answer. True if it is to be killed now. */
  lost(): boolean {
    if (!this.hasProcess || this.#phase === "ending") return false;
    this.#phase = "ending";
    return true;
  }

  /** It will not be started again by itself. */
  forget(): void {
    if (!this.hasProcess) this.#phase = "absent";
  }

  /** Its process is there no longer. One that was asked to end is not started again by itself. */
  gone(nowMs: number): NodeEnd {
    const { stableMs, crashLoopWindowMs, crashLoopDeaths, backoffMinMs, backoffMaxMs } = this.#limits;
    const wasStable = nowMs - this.#readyAtMs >= stableMs;
    this.#isReady = false;
    this.#readyAtMs = Number.POSITIVE_INFINITY;
    if (this.#wasDraining) {
      this.#deathsMs = [];
      this.#phase = "absent";
      return "drained";
    }
    if (this.#isLeaving) {
      this.#phase = "waiting";
      this.#startAtMs = nowMs + backoffMinMs;
      return "left";
    }
    this.#deathsMs = wasStable ? [] : this.#deathsMs.filter((ms) => nowMs - ms < crashLoopWindowMs);
    this.#deathsMs.push(nowMs);
    if (this.deaths >= crashLoopDeaths) {
      this.#phase = "given-up";
      return "given-up";
    }
    this.#phase = "waiting";
    this.#startAtMs = nowMs + doubled(backoffMinMs, this.deaths - 1, backoffMaxMs);
    return "died";
  }
}

function doubled(first: number, times: number, most: number): number {
  return Math.min(most, first * 2 ** times);
}
