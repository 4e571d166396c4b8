import { alignRecord, RECORD_HEADER_BYTES } from "@millrace/core/internal";
import { BROKER_LIMITS } from "../limits.ts";

/** What a socket is to the output: net.Socket and tls.TLSSocket have this shape. */
export interface OutputSocket {
  write(piece: Uint8Array, written: () => void): unknown;
  cork(): void;
  uncork(): void;
}

/** A piece of memory: [0, handed) was given to the socket, [handed, end) follows with the next flush. */
interface Chunk {
  readonly bytes: Buffer;
  readonly words: Int32Array;
  end: number;
  handed: number;
  /** Writes that the socket has not finished. */
  writes: number;
}

const NO_CLAIM = -1;

/**
 * The bytes that wait for a socket. A record is claimed, filled in place and committed, as in a ring, and leaves with the
 * next flush from where it lies; the memory is used again once the socket has let go of it. Unbounded by itself: whoever
 * claims looks at `queuedBytes`, or has credit.
 */
export class OutputChunks {
  #chunk: Chunk = newChunk(BROKER_LIMITS.peerChunkBytes);
  /** Full, and not all of it handed over; oldest first. */
  readonly #full: Chunk[] = [];
  readonly #spare: Chunk[] = [];
  readonly #onWritten: () => void;
  /** Somebody found too much queued, and waits until the socket has caught up; set and cleared by them. */
  isAwaited = false;
  #claim = NO_CLAIM;
  #claimBytes = 0;
  #queued = 0;
  /** Of those: since the last flush. */
  #unsent = 0;
  #closed = false;

  /** @param onWritten the socket took some of it */
  constructor(onWritten: () => void) {
    this.#onWritten = onWritten;
  }

  /** The memory of the last claim, to which its index belongs. */
  get bytes(): Buffer {
    return this.#chunk.bytes;
  }

  get words(): Int32Array {
    return this.#chunk.words;
  }

  /** Committed, and not taken by the socket. */
  get queuedBytes(): number {
    return this.#queued;
  }

  /** Handed to the socket, and not taken by it: what it could not take at once. */
  get stalledBytes(): number {
    return this.#queued - this.#unsent;
  }

  /** There is something that the socket was not given. */
  get isDirty(): boolean {
    return this.#full.length > 0 || this.#chunk.handed < this.#chunk.end;
  }

  /**
   * Opens a record; one at a time.
   * @param length of the payload
   * @returns the index of its HEADER in `bytes`; length and type are written, the payload is the caller's
   */
  claim(type: number, length: number): number {
    if (this.#claim !== NO_CLAIM) throw new Error(`another record is open: index=${this.#claim}`);
    const size = alignRecord(RECORD_HEADER_BYTES + length);
    if (this.#chunk.end + size > this.#chunk.bytes.length) this.#turn(size);
    const { words, end } = this.#chunk;
    const last = (end + size) >> 2;
    // What an older record left in the padding must not leave this process.
    words[last - 1] = 0;
    words[last - 2] = 0;
    words[end >> 2] = RECORD_HEADER_BYTES + length;
    words[(end >> 2) + 1] = type;
    this.#claim = end;
    this.#claimBytes = size;
    return end;
  }

  commit(index: number): void {
    if (index !== this.#claim) throw new Error(`no such claim: index=${index} open=${this.#claim}`);
    this.#claim = NO_CLAIM;
    if (this.#closed) return;
    this.#chunk.end += this.#claimBytes;
    this.#queued += this.#claimBytes;
    this.#unsent += this.#claimBytes;
  }

  /** Hands everything committed to the socket, in one write of the system where it was not too much. */
  flush(socket: OutputSocket): void {
    if (!this.isDirty || this.#closed) return;
    this.#unsent = 0;
    const full = this.#full.splice(0);
    if (full.length > 0) socket.cork();
    for (const chunk of full) this.#hand(socket, chunk);
    this.#hand(socket, this.#chunk);
    if (full.length > 0) socket.uncork();
  }

  /** The socket is gone: what is committed from now on goes nowhere. */
  close(): void {
    this.#closed = true;
    this.#queued = this.#unsent = 0;
    this.#full.length = 0;
    this.#spare.length = 0;
  }

  #hand(socket: OutputSocket, chunk: Chunk): void {
    const { handed, end } = chunk;
    if (handed === end) return;
    chunk.handed = end;
    chunk.writes += 1;
    socket.write(chunk.bytes.subarray(handed, end), () => this.#written(chunk, end - handed));
  }

  #written(chunk: Chunk, bytes: number): void {
    if (this.#closed) return;
    chunk.writes -= 1;
    this.#queued -= bytes;
    if (chunk.writes === 0 && chunk.handed === chunk.end) {
      if (chunk === this.#chunk) {
        if (this.#claim === NO_CLAIM) chunk.handed = chunk.end = 0;
      } else if (isSpare(chunk) && this.#spare.length < BROKER_LIMITS.peerChunksKept) {
        chunk.handed = chunk.end = 0;
        this.#spare.push(chunk);
      }
    }
    this.#onWritten();
  }

  /** The next record does not fit into this piece. */
  #turn(size: number): void {
    const chunk = this.#chunk;
    if (chunk.handed < chunk.end) this.#full.push(chunk);
    else if (chunk.writes === 0 && isSpare(chunk)) {
      chunk.handed = chunk.end = 0;
      this.#spare.push(chunk);
    }
    const fits = size <= BROKER_LIMITS.peerChunkBytes;
    this.#chunk =
      (fits ? this.#spare.pop() : undefined) ?? newChunk(fits ? BROKER_LIMITS.peerChunkBytes : size);
  }
}

function isSpare(chunk: Chunk): boolean {
  return chunk.bytes.length === BROKER_LIMITS.peerChunkBytes;
}

function newChunk(bytes: number): Chunk {
  const memory = Buffer.allocUnsafeSlow(bytes);
  return { bytes: memory, words: new Int32Array(memory.buffer), end: 0, handed: 0, writes: 0 };
}
