import { Fifo } from "./fifo.ts";
import type { Session } from "./session.ts";

/** A PUBLISH frame that waits for room in its shard's ring: the bytes [start, end) of `bytes`, until it is shifted. */
export interface ParkedFrame {
  readonly session: Session;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  readonly parkedMs: number;
}

interface Piece {
  readonly bytes: Uint8Array;
  used: number;
  frames: number;
}

interface PlacedFrame extends ParkedFrame {
  readonly piece: Piece;
}

/** Memory is taken in pieces of this size; a larger frame has a piece of its own. */
const PIECE_BYTES = 1_048_576;
/** Empty pieces that are kept: under load, frames are parked and let go without end. */
const SPARE_PIECES_MAX = 8;

/**
 * Memory for parked frames, of all shards together. A buffer for each frame would have to be zeroed, and counts as external
 * memory that V8 collects: at 100,000 frames a second its collector was busier than the gateway.
 */
export class ParkedMemory {
  readonly #spare: Piece[] = [];

  take(bytesMin: number): Piece {
    const spare = bytesMin <= PIECE_BYTES ? this.#spare.pop() : undefined;
    if (spare !== undefined) return spare;
    return { bytes: Buffer.allocUnsafeSlow(Math.max(bytesMin, PIECE_BYTES)), used: 0, frames: 0 };
  }

  give(piece: Piece): void {
    if (piece.bytes.length !== PIECE_BYTES || this.#spare.length >= SPARE_PIECES_MAX) return;
    piece.used = 0;
    this.#spare.push(piece);
  }

  /** Nothing is parked any more. */
  trim(): void {
    this.#spare.length = 0;
  }
}

/** Copies of the frames that wait for one shard, oldest first. */
export class ParkedFrames {
  readonly #memory: ParkedMemory;
  readonly #frames: Fifo<PlacedFrame> = new Fifo();
  #piece: Piece | undefined;

  constructor(memory: ParkedMemory) {
    this.#memory = memory;
  }

  get length(): number {
    return this.#frames.length;
  }

  get first(): ParkedFrame | undefined {
    return this.#frames.first;
  }

  push(session: Session, frame: Uint8Array, parkedMs: number): void {
    let piece = this.#piece;
    if (piece === undefined || piece.used + frame.length > piece.bytes.length) {
      piece = this.#memory.take(frame.length);
      this.#piece = piece;
    }
    const start = piece.used;
    const end = start + frame.length;
    piece.bytes.set(frame, start);
    piece.used = end;
    piece.frames += 1;
    this.#frames.push({ session, bytes: piece.bytes, start, end, parkedMs, piece });
  }

  /** The oldest one is over; its bytes are no longer valid. */
  shift(): void {
    const piece = this.#frames.shift()?.piece;
    if (piece === undefined) return;
    piece.frames -= 1;
    if (piece.frames > 0) return;
    if (piece === this.#piece) this.#piece = undefined;
    this.#memory.give(piece);
  }
}
