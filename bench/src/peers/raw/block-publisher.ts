import type { Publisher, PublisherEvents } from "@millrace/load";
import type { PlainSocket } from "./plain-socket.ts";

/** One write of frames: large enough that a system call costs little per frame. */
const BLOCK_BYTES = 64 * 1024;
/** Blocks that may be written and unanswered; more only wait in socket buffers. */
const BLOCKS = 16;

/** What is sent for each record, encoded once. */
export interface FrameTemplate {
  readonly frame: Buffer;
  /** Where in the frame the value stands. */
  readonly valueStart: number;
  /** Sent after each write, such as a PING whose answer stands for all frames before it. */
  readonly trailer?: Buffer;
}

interface Block {
  readonly bytes: Buffer;
  frames: number;
}

/** Publishes from blocks of frames that were encoded before: no encoding, no promise and no write for each record. */
export class BlockPublisher implements Publisher {
  readonly #socket: PlainSocket;
  readonly #template: FrameTemplate;
  readonly #events: PublisherEvents;
  readonly #stamped: boolean;
  readonly #framesPerBlock: number;
  readonly #free: Block[] = [];
  /** Frames of each write that is not answered yet, oldest first. */
  readonly #unanswered: number[] = [];
  #block: Block | undefined;
  #inFlight = 0;
  /** Of the oldest unanswered write, when answers come frame by frame. */
  #answeredOfOldest = 0;
  #failure: Error | undefined;
  #onRoom: (() => void)[] = [];
  #onEmpty: (() => void)[] = [];

  constructor(
    socket: PlainSocket,
    template: FrameTemplate,
    events: PublisherEvents,
    settings: { readonly stamped: boolean },
  ) {
    this.#socket = socket;
    this.#template = template;
    this.#events = events;
    this.#stamped = settings.stamped;
    const { frame, trailer } = template;
    this.#framesPerBlock = Math.max(1, Math.floor(BLOCK_BYTES / frame.length));
    const spare = trailer?.length ?? 0;
    for (let index = 0; index < BLOCKS; index++) {
      const bytes = Buffer.allocUnsafeSlow(this.#framesPerBlock * frame.length + spare);
      bytes.fill(frame, 0, this.#framesPerBlock * frame.length);
      this.#free.push({ bytes, frames: 0 });
    }
  }

  publish(value: Uint8Array): boolean {
    this.#block ??= this.#free.pop();
    const block = this.#block;
    if (block === undefined || this.#unanswered.length >= BLOCKS) return false;
    if (this.#stamped) {
      const { frame, valueStart } = this.#template;
      block.bytes.set(value, block.frames * frame.length + valueStart);
    }
    this.#inFlight++;
    if (++block.frames === this.#framesPerBlock) this.push();
    return true;
  }

  push(): void {
    const block = this.#block;
    if (block === undefined || block.frames === 0) return;
    this.#block = undefined;
    const { frame, trailer } = this.#template;
    const end = block.frames * frame.length;
    if (trailer !== undefined) block.bytes.set(trailer, end);
    this.#unanswered.push(block.frames);
    this.#socket.write(block.bytes.subarray(0, end + (trailer?.length ?? 0)), () => {
      // The trailer of a block that was not full stands where the next frame begins.
      if (trailer !== undefined && block.frames < this.#framesPerBlock) block.bytes.set(frame, end);
      block.frames = 0;
      this.#free.push(block);
      this.#notify();
    });
  }

  /** So many frames are answered, in order. */
  answered(frames: number): void {
    if (frames > this.#inFlight)
      throw new Error(`more answers than frames: answers=${frames} in flight=${this.#inFlight}`);
    this.#inFlight -= frames;
    this.#answeredOfOldest += frames;
    while (this.#unanswered.length > 0 && this.#answeredOfOldest >= (this.#unanswered[0] as number)) {
      this.#answeredOfOldest -= this.#unanswered.shift() as number;
    }
    this.#events.acknowledged(frames);
    this.#notify();
  }

  /** The oldest write is answered as a whole. */
  answeredWrite(): void {
    this.answered((this.#unanswered[0] ?? 0) - this.#answeredOfOldest);
  }

  failed(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#events.failed(error);
    this.#notify();
  }

  room(): Promise<void> {
    if (this.#hasRoom() || this.#failure !== undefined) return Promise.resolve();
    return new Promise((resolve) => this.#onRoom.push(resolve));
  }

  flush(): Promise<void> {
    this.push();
    if (this.#inFlight === 0 || this.#failure !== undefined) return Promise.resolve();
    return new Promise((resolve) => this.#onEmpty.push(resolve));
  }

  close(): Promise<void> {
    return this.#socket.close();
  }

  #hasRoom(): boolean {
    return (this.#block !== undefined || this.#free.length > 0) && this.#unanswered.length < BLOCKS;
  }

  #notify(): void {
    const over = this.#failure !== undefined;
    if (this.#onRoom.length > 0 && (over || this.#hasRoom())) {
      for (const resolve of this.#onRoom.splice(0)) resolve();
    }
    if (this.#onEmpty.length > 0 && (over || this.#inFlight === 0)) {
      for (const resolve of this.#onEmpty.splice(0)) resolve();
    }
  }
}
