import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Test } from "tap";
import { inTime } from "./waiting.ts";

const OPCODE_BINARY = 2;
const FIN = 0x80;
const MASKED = 0x80;
const LENGTH_64 = 127;

/** A TCP connection on which a test writes bytes of its choice, WebSocket frames or none. */
export class RawSocket {
  readonly #socket: Socket;
  readonly #received: Buffer[] = [];
  readonly closed: Promise<void>;

  private constructor(t: Test, socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#received.push(chunk));
    socket.on("error", () => {});
    this.closed = new Promise((resolve) => socket.once("close", () => resolve()));
    t.teardown(() => socket.destroy());
  }

  static async connect(t: Test, port: number): Promise<RawSocket> {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    const raw = new RawSocket(t, socket);
    await inTime(once(socket, "connect"), "a TCP connection");
    return raw;
  }

  /** A WebSocket, opened by hand. */
  static async upgrade(t: Test, port: number): Promise<RawSocket> {
    const raw = await RawSocket.connect(t, port);
    raw.write(
      "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    while (!raw.received.includes("\r\n\r\n")) await inTime(once(raw.#socket, "data"), "the upgrade");
    return raw;
  }

  /** All that the other side has sent. */
  get received(): Buffer {
    return Buffer.concat(this.#received);
  }

  write(bytes: Uint8Array | string): void {
    this.#socket.write(bytes);
  }

  /** Ends our side only. */
  end(): void {
    this.#socket.end();
  }

  async whenClosed(): Promise<void> {
    await inTime(this.closed, "the connection to be closed");
  }
}

/** How a WebSocket frame is put together, right or wrong. */
export interface FrameShape {
  readonly opcode?: number | undefined;
  readonly isFinal?: boolean | undefined;
  /** Stated instead of the payload's true length. */
  readonly statedLength?: bigint | undefined;
  readonly reservedBits?: number | undefined;
}

/** A WebSocket frame, RFC 6455 section 5.2, with a 64 bit length and a mask of zeros. */
export function webSocketFrame(payload: Uint8Array, shape: FrameShape = {}): Buffer {
  const { opcode = OPCODE_BINARY, isFinal = true, reservedBits = 0 } = shape;
  const head = Buffer.alloc(14);
  head[0] = (isFinal ? FIN : 0) | (reservedBits << 4) | opcode;
  head[1] = MASKED | LENGTH_64;
  head.writeBigUInt64BE(shape.statedLength ?? BigInt(payload.length), 2);
  return Buffer.concat([head, payload]);
}
