import {
  decodeFrame,
  encodeFrame,
  type Frame,
  FrameReader,
  type FrameTypeName,
  type FrameValues,
  FrameWriter,
} from "@millrace/protocol";
import type { ConnectTransport, Transport, TransportHandlers } from "../src/connection/transport.ts";

/** One end of a connection in memory: nothing moves until the test moves it. */
export class MemorySession implements Transport {
  readonly handlers: TransportHandlers;
  readonly #toBroker: Uint8Array[] = [];
  readonly #toClient: Uint8Array[] = [];
  readonly #reader: FrameReader = new FrameReader();
  readonly #writer: FrameWriter = new FrameWriter();
  isClosed = false;
  /** What the client closed with. */
  closeCode: number | undefined;

  constructor(handlers: TransportHandlers) {
    this.handlers = handlers;
  }

  // The client's side.

  send(bytes: Uint8Array): void {
    if (!this.isClosed) this.#toBroker.push(bytes.slice());
  }

  close(code: number): void {
    this.closeCode = code;
    this.isClosed = true;
  }

  terminate(): void {
    this.isClosed = true;
  }

  // The broker's side.

  get unread(): number {
    return this.#toBroker.length;
  }

  get undelivered(): number {
    return this.#toClient.length;
  }

  /** The next frame from the client, with its length. */
  read(): { readonly frame: Frame; readonly bytes: number } | undefined {
    const bytes = this.#toBroker.shift();
    if (bytes === undefined) return undefined;
    return { frame: decodeFrame(this.#reader, bytes, 0, bytes.length), bytes: bytes.length };
  }

  /** Queues a frame for the client. */
  write<N extends FrameTypeName>(name: N, value: FrameValues[N]): void {
    this.#writer.reset();
    encodeFrame(this.#writer, { name, value } as Frame);
    this.#toClient.push(this.#writer.take());
  }

  /** Hands the next frame to the client. */
  deliver(): boolean {
    const bytes = this.isClosed ? undefined : this.#toClient.shift();
    if (bytes === undefined) return false;
    this.handlers.onMessage(bytes);
    return true;
  }

  /** The connection breaks; what is on its way is lost. */
  cut(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.handlers.onClose(1006, "", undefined);
  }
}

/** Connections in memory. */
export class MemoryNetwork {
  readonly sessions: MemorySession[] = [];
  /** Whether attempts to connect succeed. */
  isUp = true;

  readonly connect: ConnectTransport = (_url, _options, handlers) => {
    const session = new MemorySession(handlers);
    this.sessions.push(session);
    queueMicrotask(() => {
      if (session.isClosed) return;
      if (this.isUp) handlers.onOpen();
      else session.cut();
    });
    return session;
  };

  /** The newest connection. */
  get last(): MemorySession {
    const session = this.sessions.at(-1);
    if (session === undefined) throw new Error("nobody has connected");
    return session;
  }
}
