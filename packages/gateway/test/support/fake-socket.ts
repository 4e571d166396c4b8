import {
  decodeFrame,
  type Frame,
  FrameReader,
  type FrameTypeName,
  type FrameValues,
} from "@millrace/protocol";
import {
  BUFFERED,
  DROPPED,
  SENT,
  type SendOutcome,
  type Socket,
  type SocketHandler,
} from "../../src/listener.ts";

const reader = new FrameReader();

/** A socket in memory. What is sent is decoded and kept; `stalled` makes it keep bytes unsent. */
export class FakeSocket implements Socket {
  handler: SocketHandler | undefined;
  readonly frames: Frame[] = [];
  /** Called with each frame as it is sent, and its length. */
  onFrame: ((frame: Frame, length: number) => void) | undefined;
  /** Sends that this socket took, and bytes of the largest backlog. */
  sends = 0;
  backlogMax = 0;
  stalled = false;
  closed: { readonly code: number; readonly reason: string } | undefined;
  #backlog = 0;

  send(frame: Uint8Array): SendOutcome {
    if (this.closed !== undefined) return DROPPED;
    this.sends += 1;
    const copy = Uint8Array.from(frame);
    const decoded = decodeFrame(reader, copy, 0, copy.length);
    if (this.onFrame === undefined) this.frames.push(decoded);
    else this.onFrame(decoded, copy.length);
    if (!this.stalled) return SENT;
    this.#backlog += copy.length;
    this.backlogMax = Math.max(this.backlogMax, this.#backlog);
    return BUFFERED;
  }

  bufferedAmount(): number {
    return this.#backlog;
  }

  /** The peer reads what has piled up, all of it or so many bytes. */
  drain(bytes: number = this.#backlog): void {
    this.#backlog = Math.max(0, this.#backlog - bytes);
    this.handler?.onDrain();
  }

  end(code: number, reason: string): void {
    if (this.closed !== undefined) return;
    this.closed = { code, reason };
    this.handler?.onClose(code);
  }

  close(): void {
    this.end(1006, "");
  }

  /** The frames of one type, oldest first. */
  all<Name extends FrameTypeName>(name: Name): FrameValues[Name][] {
    return this.frames
      .filter((frame) => frame.name === name)
      .map((frame) => frame.value as FrameValues[Name]);
  }

  /** Takes all frames so far. */
  take(): Frame[] {
    return this.frames.splice(0);
  }
}
