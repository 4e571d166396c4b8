import { BROKER_LIMITS } from "../limits.ts";

/**
 * Keeps the journal's unsettled part bounded: when settling falls behind, batches are taken more slowly, the more so the
 * further behind it is, and in the end refused. Everything but publishing goes on. Shard thread only.
 */
export class BackPressure {
  readonly #segmentBytes: number;
  #refuses = false;
  /** Bytes of batches taken per ms; Infinity = as they come. */
  #bytesPerMs: number = Number.POSITIVE_INFINITY;
  /** Bytes that may be taken now; below 0 after a batch that was larger. */
  #allowance = 0;
  #updatedMs = 0;

  constructor(segmentBytes: number) {
    this.#segmentBytes = segmentBytes;
  }

  /** Publishes are to be refused. */
  get refuses(): boolean {
    return this.#refuses;
  }

  /** Another batch may be taken. */
  get admits(): boolean {
    return this.#allowance > 0;
  }

  /** Once a duty cycle. @param backlogBytes ended segments that are not settled */
  update(nowMs: number, backlogBytes: number): void {
    const segments = backlogBytes / this.#segmentBytes;
    const { backlogPacedSegments, backlogRefusedSegments, backlogAcceptedSegments } = BROKER_LIMITS;
    const { pacedBytesPerMsMax, pacedBytesPerMsMin } = BROKER_LIMITS;
    this.#refuses = segments >= (this.#refuses ? backlogAcceptedSegments : backlogRefusedSegments);
    const elapsedMs = nowMs - this.#updatedMs;
    this.#updatedMs = nowMs;
    // Refusing costs next to nothing.
    if (segments < backlogPacedSegments || this.#refuses) {
      this.#bytesPerMs = Number.POSITIVE_INFINITY;
      this.#allowance = Number.POSITIVE_INFINITY;
      return;
    }
    const part = (backlogRefusedSegments - segments) / (backlogRefusedSegments - backlogPacedSegments);
    if (this.#bytesPerMs === Number.POSITIVE_INFINITY) this.#allowance = 0;
    this.#bytesPerMs = Math.max(pacedBytesPerMsMin, pacedBytesPerMsMax * part);
    this.#allowance = Math.min(
      BROKER_LIMITS.drainBytesMax,
      this.#allowance + this.#bytesPerMs * Math.max(0, elapsedMs),
    );
  }

  /** A batch of so many bytes was taken. */
  took(bytes: number): void {
    this.#allowance -= bytes;
  }

  /** Milliseconds until the next batch may be taken; Infinity when none waits for that. */
  get nextTimerMs(): number {
    return this.#allowance > 0
      ? Number.POSITIVE_INFINITY
      : Math.max(1, Math.ceil(-this.#allowance / this.#bytesPerMs));
  }
}
