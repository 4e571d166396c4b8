import { createHash, randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";

/** RFC 6455, section 1.3. */
const ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/** One buffer for all reads of a connection: large, so that a busy stream needs few system calls. */
const READ_BUFFER_BYTES = 1024 * 1024;
const CONNECT_TIMEOUT_MS = 10_000;

/** Called with each piece of the stream behind the handshake; the bytes are valid only during the call. */
export type ChunkHandler = (chunk: Buffer, length: number) => void;

/**
 * A TCP socket that has spoken the WebSocket handshake and then shows its bytes as they come. A client
 * library would be the bottleneck of what a generator is to measure.
 */
export class RawConnection {
  readonly #socket: Socket;
  #onChunk: ChunkHandler = () => undefined;
  #onClosed: (error: Error) => void = () => undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** @throws Error when nobody listens or the upgrade is refused */
  static async open(
    url: string,
    onChunk: ChunkHandler,
    onClosed: (error: Error) => void,
  ): Promise<RawConnection> {
    const { hostname, port, pathname } = new URL(url);
    const key = randomBytes(16).toString("base64");
    const accept = createHash("sha1")
      .update(key + ACCEPT_GUID)
      .digest("base64");
    const buffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
    return await new Promise((resolve, reject) => {
      let response = "";
      const onread = {
        buffer,
        callback: (length: number): boolean => {
          connection.#onChunk(buffer, length);
          return true;
        },
      };
      const socket = connect({ host: hostname, port: Number(port), noDelay: true, onread });
      const connection = new RawConnection(socket);
      const timer = setTimeout(() => fail(new Error(`no answer from ${url}`)), CONNECT_TIMEOUT_MS);
      const fail = (error: Error): void => {
        clearTimeout(timer);
        socket.destroy();
        reject(error);
      };
      const upgrading: ChunkHandler = (chunk, length) => {
        response += chunk.toString("latin1", 0, length);
        const end = response.indexOf("\r\n\r\n");
        if (end < 0) return;
        if (!response.startsWith("HTTP/1.1 101") || !response.includes(accept)) {
          fail(new Error(`${url} refused the upgrade: ${response.slice(0, 200)}`));
          return;
        }
        clearTimeout(timer);
        connection.#onChunk = onChunk;
        connection.#onClosed = onClosed;
        const rest = Buffer.from(response.slice(end + 4), "latin1");
        resolve(connection);
        if (rest.length > 0) onChunk(rest, rest.length);
      };
      connection.#onChunk = upgrading;
      connection.#onClosed = fail;
      socket.on("error", (error) => connection.#onClosed(error));
      socket.on("close", () => connection.#onClosed(new Error(`${url} closed the connection`)));
      socket.once("connect", () => {
        socket.write(
          `GET ${pathname} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
            `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
        );
      });
    });
  }

  /** The bytes must stay as they are until `onWritten` is called. */
  write(bytes: Uint8Array, onWritten?: () => void): void {
    this.#socket.write(bytes, onWritten);
  }

  close(): void {
    this.#onClosed = () => undefined;
    this.#socket.destroy();
  }
}
