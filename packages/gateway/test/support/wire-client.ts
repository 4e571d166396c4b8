import { once } from "node:events";
import {
  decodeFrame,
  type Frame,
  FrameReader,
  type FrameTypeName,
  type FrameValues,
} from "@millrace/protocol";
import { WebSocket } from "ws";
import { frameBytes } from "./batches.ts";

/** A client on a real socket. */
export class WireClient {
  readonly socket: WebSocket;
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  readonly frames: Frame[] = [];
  readonly #reader: FrameReader = new FrameReader();
  #waiters: (() => void)[] = [];
  #isClosed = false;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("message", (data: Buffer) => {
      const copy = Uint8Array.from(data);
      this.frames.push(decodeFrame(this.#reader, copy, 0, copy.length));
      this.#wake();
    });
    this.closed = new Promise((resolve) => {
      socket.on("close", (code, reason) => {
        this.#isClosed = true;
        this.#wake();
        resolve({ code, reason: reason.toString() });
      });
    });
    socket.on("error", () => {});
  }

  /** Rejects with the status when the upgrade is refused. */
  static async connect(url: string, options: { hello?: boolean; origin?: string } = {}): Promise<WireClient> {
    const socket = new WebSocket(url, options.origin === undefined ? {} : { origin: options.origin });
    const client = new WireClient(socket);
    await new Promise<void>((resolve, reject) => {
      socket.on("open", resolve);
      socket.on("unexpected-response", (_request, response) => {
        reject(new Error(`status ${response.statusCode}`));
        socket.terminate();
      });
      socket.on("error", reject);
    });
    if (options.hello !== false) {
      client.hello();
      await client.next("WELCOME");
    }
    return client;
  }

  hello(changes: Partial<FrameValues["HELLO"]> = {}): void {
    this.send({
      name: "HELLO",
      value: { versionMin: 1, versionMax: 1, clientName: "test", features: [], extensions: {}, ...changes },
    });
  }

  send(frame: Frame): void {
    this.socket.send(frameBytes(frame));
  }

  sendBytes(bytes: Uint8Array): void {
    this.socket.send(bytes);
  }

  /** Takes the oldest frame of that type, and waits for it if needed; others stay. */
  async next<Name extends FrameTypeName>(name: Name): Promise<FrameValues[Name]> {
    for (;;) {
      const index = this.frames.findIndex((frame) => frame.name === name);
      if (index >= 0) return (this.frames.splice(index, 1)[0] as Frame).value as FrameValues[Name];
      if (this.#isClosed) throw new Error(`closed before ${name} came`);
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  /** A round trip: all that was sent before has been handled, and answered as far as it is answered at once. */
  async roundTrip(): Promise<void> {
    const nonce = Math.floor(Math.random() * 2 ** 32);
    this.send({ name: "PING", value: { nonce } });
    while ((await this.next("PONG")).nonce !== nonce);
  }

  async close(): Promise<void> {
    if (this.socket.readyState === WebSocket.CLOSED) return;
    this.socket.close();
    await once(this.socket, "close");
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}
