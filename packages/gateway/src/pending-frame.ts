import { copyBytes } from "@millrace/core";
import { DELIVER_HEAD_BYTES, deliverEntryCount, extendDeliverHead } from "@millrace/protocol/internal";

/** Frames are joined up to this size: past it a system call costs little beside its bytes. */
const JOINED_BYTES_MAX = 65_536;
/** Memory for smaller frames is a power of two of at least this. */
const PIECE_BYTES_MIN = 1_024;
/** Pieces that nobody uses are kept up to this: under load they are taken and given back without end. */
const SPARE_BYTES_MAX = 1_048_576;

/**
 * A copy of a shared DELIVER frame that some members of its group have not been sent. As long as nobody has been, the
 * entries of the frames that follow can join it: then each member gets them all with one send.
 */
export class PendingFrame {
  readonly firstOffset: number;
  nextOffset: number;
  /** Bytes of memory that it holds. */
  memoryBytes: number;
  #bytes: Buffer;
  #length: number;

  constructor(bytes: Buffer, length: number, firstOffset: number, nextOffset: number) {
    this.#bytes = bytes;
    this.#length = length;
    this.memoryBytes = bytes.length;
    this.firstOffset = firstOffset;
    this.nextOffset = nextOffset;
  }

  /** The frame as it stands. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** The memory is the caller's again. */
  giveUp(): Buffer {
    return this.#bytes;
  }

  canJoin(frameLength: number, firstOffset: number): boolean {
    return (
      firstOffset === this.nextOffset && this.#length + frameLength - DELIVER_HEAD_BYTES <= JOINED_BYTES_MAX
    );
  }

  /** Takes over the entries of a frame that `canJoin`. */
  join(memory: FrameMemory, frame: Uint8Array, nextOffset: number): void {
    const added = frame.length - DELIVER_HEAD_BYTES;
    const entries = deliverEntryCount(this.#bytes, 0) + deliverEntryCount(frame, 0);
    if (this.#length + added > this.#bytes.length) {
      const larger = memory.take(this.#length + added);
      copyBytes(larger, 0, this.#bytes, 0, this.#length);
      memory.give(this.#bytes);
      this.#bytes = larger;
      this.memoryBytes = larger.length;
    }
    copyBytes(this.#bytes, this.#length, frame, DELIVER_HEAD_BYTES, added);
    this.#length += added;
    this.nextOffset = nextOffset;
    extendDeliverHead(this.#bytes, 0, nextOffset, entries);
  }
}

/** Memory for pending frames, used again and again: what is allocated for each frame is work for the collector. */
export class FrameMemory {
  /** By the power of two of their size. */
  readonly #spare: Buffer[][] = [];
  #spareBytes = 0;

  /** Room for at least so many bytes. */
  take(bytes: number): Buffer {
    if (bytes > JOINED_BYTES_MAX) return Buffer.allocUnsafeSlow(bytes);
    const power = powerOf(bytes);
    const spare = this.#spare[power]?.pop();
    if (spare === undefined) return Buffer.allocUnsafeSlow(2 ** power);
    this.#spareBytes -= spare.length;
    return spare;
  }

  give(bytes: Buffer): void {
    if (bytes.length > JOINED_BYTES_MAX || this.#spareBytes + bytes.length > SPARE_BYTES_MAX) return;
    const power = powerOf(bytes.length);
    const spares = this.#spare[power] ?? [];
    this.#spare[power] = spares;
    spares.push(bytes);
    this.#spareBytes += bytes.length;
  }
}

function powerOf(bytes: number): number {
  return 32 - Math.clz32(Math.max(bytes, PIECE_BYTES_MIN) - 1);
}
