import { connect, type Socket } from "node:net";
import type { DriverSettings } from "@millrace/load";

/** One buffer for all reads of a connection: large, so that a busy stream needs few system calls. */
const READ_BUFFER_BYTES = 256 * 1024;

/** Called with each piece of the stream; the bytes are valid only during the call. */
export type ChunkHandler = (chunk: Buffer, length: number) => void;

/** A TCP socket that shows its bytes as they come, for the raw drivers. */
export class PlainSocket {
  readonly #socket: Socket;
  #closing = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Endpoint: host, port and, where ports of one address run short, localAddress. `failed` is called once if the stream ends by itself or `onChunk` throws. */
  static open(
    { host, port, localAddress }: DriverSettings["endpoint"],
    onChunk: ChunkHandler,
    failed: (error: Error) => void,
    readBufferBytes: number = READ_BUFFER_BYTES,
  ): Promise<PlainSocket> {
    const buffer = Buffer.allocUnsafeSlow(readBufferBytes);
    return new Promise((resolve, reject) => {
      const callback = (length: number): boolean => {
        try {
          onChunk(buffer, length);
        } catch (error) {
          socket.destroy(error as Error);
        }
        return true;
      };
      const socket = connect({
        host: String(host),
        port: Number(port),
        noDelay: true,
        ...(localAddress === undefined ? {} : { localAddress: String(localAddress) }),
        onread: { buffer, callback },
      });
      const plain = new PlainSocket(socket);
      let open = false;
      const onEnd = (error: Error): void => {
        if (plain.#closing) return;
        plain.#closing = true;
        if (open) failed(error);
        else reject(error);
      };
      socket.once("connect", () => {
        open = true;
        resolve(plain);
      });
      socket.once("error", onEnd);
      socket.once("close", () => onEnd(new Error(`connection closed: port=${port}`)));
    });
  }

  /** The bytes must not change before `onWritten`. */
  write(bytes: Uint8Array | string, onWritten?: () => void): void {
    this.#socket.write(bytes, onWritten);
  }

  async close(): Promise<void> {
    this.#closing = true;
    await new Promise<void>((resolve) => {
      this.#socket.once("close", () => resolve());
      this.#socket.destroySoon();
    });
  }
}
