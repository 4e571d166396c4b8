import WebSocket, { type ClientOptions } from "ws";
import { FRAME_HEADER_BYTES_MAX, writeMaskedFrame } from "./masked-frame.ts";
import type {
  ConnectTransport,
  TlsOptions,
  Transport,
  TransportHandlers,
  TransportOptions,
} from "./transport.ts";

// `ws` makes the connection and reads from it. Frames are written past it, straight to its socket: `ws` would mask them
// byte by byte and write each by itself. Both sides write whole frames in one synchronous go, so they cannot mix.

/** What is used of the socket that the `upgrade` event hands out. */
interface RawSocket {
  readonly destroyed: boolean;
  readonly writable: boolean;
  write(bytes: Uint8Array, done: () => void): boolean;
}

const CHUNK_BYTES = 256 * 1024;
const FREE_CHUNKS_MAX = 8;
const MASKS = 1024;
const CLOSE_TIMEOUT_MS = 2_000;

/** The transport of Node: `ws`. */
export const connectNodeTransport: ConnectTransport = (
  url: string,
  options: TransportOptions,
  handlers: TransportHandlers,
): Transport => new NodeTransport(url, options, handlers);

class NodeTransport implements Transport {
  readonly #webSocket: WebSocket;
  readonly #masks: Int32Array<ArrayBuffer> = new Int32Array(MASKS);
  readonly #freeChunks: Uint8Array[] = [];
  #masksUsed = MASKS;
  #socket: RawSocket | undefined;
  #chunk: Uint8Array | undefined;
  #chunkUsed = 0;
  #flushScheduled = false;

  constructor(url: string, options: TransportOptions, handlers: TransportHandlers) {
    const settings: ClientOptions & { readonly closeTimeout: number } = {
      // Compression would cost more than all else together; batches are compressed by producers, if at all.
      perMessageDeflate: false,
      maxPayload: options.messageBytesMax,
      // How long a broker that does not answer a close keeps the process alive.
      closeTimeout: CLOSE_TIMEOUT_MS,
      ...(options.headers === undefined ? {} : { headers: { ...options.headers } }),
      ...tlsSettings(options.tls),
    };
    const webSocket = new WebSocket(url, settings);
    let error: Error | undefined;
    webSocket.on("upgrade", (response) => {
      this.#socket = response.socket;
    });
    webSocket.on("open", () => handlers.onOpen());
    webSocket.on("message", (data, isBinary) => {
      if (isBinary) handlers.onMessage(data as Buffer);
      else handlers.onText();
    });
    webSocket.on("error", (cause) => {
      error ??= cause;
    });
    webSocket.on("close", (code, reason) => {
      this.#socket = undefined;
      handlers.onClose(code, reason.toString(), error);
    });
    this.#webSocket = webSocket;
  }

  send(bytes: Uint8Array): void {
    if (this.#webSocket.readyState !== WebSocket.OPEN) return;
    const needed = FRAME_HEADER_BYTES_MAX + bytes.length;
    if (this.#chunk !== undefined && this.#chunkUsed + needed > this.#chunk.length) this.#flush();
    this.#chunk ??= this.#takeChunk(needed);
    this.#chunkUsed = writeMaskedFrame(this.#chunk, this.#chunkUsed, bytes, this.#nextMask());
    // Nearly full: on its way while the application fills the next one.
    if (this.#chunkUsed > CHUNK_BYTES / 2) {
      this.#flush();
    } else if (!this.#flushScheduled) {
      this.#flushScheduled = true;
      queueMicrotask(() => {
        this.#flushScheduled = false;
        this.#flush();
      });
    }
  }

  close(code: number, reason: string): void {
    this.#flush();
    this.#webSocket.close(code, reason);
  }

  terminate(): void {
    this.#webSocket.terminate();
  }

  #flush(): void {
    const chunk = this.#chunk;
    const socket = this.#socket;
    if (chunk === undefined) return;
    const used = this.#chunkUsed;
    this.#chunk = undefined;
    this.#chunkUsed = 0;
    if (socket === undefined || !socket.writable) return;
    socket.write(used === chunk.length ? chunk : chunk.subarray(0, used), () => {
      if (chunk.length === CHUNK_BYTES && this.#freeChunks.length < FREE_CHUNKS_MAX)
        this.#freeChunks.push(chunk);
    });
  }

  #takeChunk(neededBytes: number): Uint8Array {
    if (neededBytes > CHUNK_BYTES) return Buffer.allocUnsafeSlow(neededBytes);
    return this.#freeChunks.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES);
  }

  /** Unpredictable, as RFC 6455 section 5.3 wants it: proxies must not be fed bytes of somebody's choosing. */
  #nextMask(): number {
    if (this.#masksUsed === MASKS) {
      crypto.getRandomValues(this.#masks);
      this.#masksUsed = 0;
    }
    return this.#masks[this.#masksUsed++] as number;
  }
}

function tlsSettings(tls: TlsOptions | undefined): Pick<ClientOptions, "ca"> {
  const ca = tls?.ca;
  if (ca === undefined) return {};
  const certificates = typeof ca === "string" || ca instanceof Uint8Array ? [ca] : ca;
  return { ca: certificates.map((pem) => (typeof pem === "string" ? pem : Buffer.from(pem))) };
}
