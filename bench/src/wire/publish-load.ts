import { monotonicMs } from "@millrace/load/internal";
import type { Counters } from "../harness/sampling.ts";
import type { PublishBlock } from "./publish-block.ts";

/** Where a load goes: something with room for so many more bytes of frames. */
export interface PublishTarget {
  /** Bytes of frames (without WebSocket heads) that may still be sent before an answer is needed. */
  room(): number;
  /** The load has a frame and no room for it. */
  starved(): void;
  /** `firstFrame` is where in the block they stand. */
  write(bytes: Uint8Array, frames: number, onWritten: () => void, firstFrame: number): void;
}

/** Two writes keep the socket busy while the first one's completion travels through the event loop. */
const WRITES_IN_FLIGHT_MAX = 2;
/** One write never takes longer than this many bytes, so that marks are answered in time. */
const WRITE_BYTES_MAX = 1024 * 1024;
/** Below this a write costs more than it carries, so the load waits for more room while answers are due. */
const WRITE_BYTES_MIN = 64 * 1024;

/** Writes the frames of a block over and over, as fast as the target's room and the socket allow. */
export class PublishLoad {
  readonly #block: PublishBlock;
  readonly #target: PublishTarget;
  #running = false;
  #cursor = 0;
  #writesInFlight = 0;
  #framesInFlight = 0;
  #framesAnswered = 0;
  #pausedUntilMs = 0;
  #onDrained: (() => void) | undefined;
  /** Frames that were refused to be sent again later; they count as answered but not as done. */
  framesThrottled = 0;

  /** `firstFrame` of the block is the first to be sent. */
  constructor(block: PublishBlock, target: PublishTarget, firstFrame = 0) {
    this.#block = block;
    this.#target = target;
    this.#cursor = firstFrame % block.frames;
  }

  start(): void {
    this.#running = true;
    this.pump();
  }

  /** Writes nothing more and resolves when every frame is answered. */
  async stop(): Promise<void> {
    this.#running = false;
    if (this.#framesInFlight === 0) return;
    await new Promise<void>((resolve) => {
      this.#onDrained = resolve;
    });
  }

  /** So many frames are answered. */
  answered(frames: number): void {
    this.#framesInFlight -= frames;
    this.#framesAnswered += frames;
    if (this.#framesInFlight === 0) this.#onDrained?.();
    this.pump();
  }

  throttled(frames: number, retryAfterMs: number): void {
    this.framesThrottled += frames;
    this.#framesAnswered -= frames;
    this.#pausedUntilMs = monotonicMs() + retryAfterMs;
    setTimeout(() => this.pump(), Math.ceil(retryAfterMs));
    this.answered(frames);
  }

  mark(): Counters {
    return {
      timeMs: monotonicMs(),
      records: this.#framesAnswered * this.#block.recordsPerFrame,
      bytes: this.#framesAnswered * this.#block.payloadBytes,
    };
  }

  readonly pump = (): void => {
    const { bytes, frames, frameBytes, wireBytes } = this.#block;
    while (this.#running && this.#writesInFlight < WRITES_IN_FLIGHT_MAX) {
      if (this.#pausedUntilMs > 0) {
        if (monotonicMs() < this.#pausedUntilMs) return;
        this.#pausedUntilMs = 0;
      }
      const wanted = Math.max(1, Math.floor(WRITE_BYTES_MAX / wireBytes));
      const allowed = Math.min(wanted, Math.floor(this.#target.room() / frameBytes));
      const worthIt = allowed * wireBytes >= WRITE_BYTES_MIN || this.#framesInFlight === 0;
      if (allowed <= 0) this.#target.starved();
      if (allowed <= 0 || !worthIt) return;
      const count = Math.min(allowed, frames - this.#cursor);
      const first = this.#cursor;
      const from = first * wireBytes;
      this.#cursor = (this.#cursor + count) % frames;
      this.#framesInFlight += count;
      this.#writesInFlight++;
      this.#target.write(bytes.subarray(from, from + count * wireBytes), count, this.#onWritten, first);
    }
  };

  readonly #onWritten = (): void => {
    this.#writesInFlight--;
    this.pump();
  };
}
