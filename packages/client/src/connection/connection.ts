import {
  decodeError,
  decodeGoaway,
  decodePing,
  decodeWelcome,
  encodeHello,
  encodePing,
  encodePong,
  FRAME_TYPE,
  FrameReader,
  FrameWriter,
  LIMITS,
  MillraceError,
  type WelcomeFrame,
} from "@millrace/protocol";
import type { Clock, TimerHandle } from "../system-clock.ts";
import type { ConnectTransport, TlsOptions, Transport } from "./transport.ts";

/** What a connection needs to know. */
export interface ConnectionSettings {
  readonly url: string;
  readonly name: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly tls?: TlsOptions | undefined;
  readonly connectTimeoutMs: number;
  readonly pingIntervalMs: number;
  readonly deadAfterMs: number;
}

/** What a connection tells its owner. */
export interface ConnectionHandlers {
  /** WELCOME came; frames may be sent. */
  onReady(connection: Connection): void;
  /**
   * A frame of the data or control plane. The reader stands after the type. The bytes are the frame, and may be kept.
   * A MillraceError thrown from here ends the connection.
   */
  onFrame(type: number, reader: FrameReader, bytes: Uint8Array): void;
  /** The broker is about to stop. */
  onDraining(reason: MillraceError): void;
  /** The end of the connection, or of the attempt; once. */
  onClosed(error: MillraceError): void;
}

const NORMAL_CLOSURE = 1000;
/** A WELCOME may state a larger frame than this release knows of; the transport has to let it pass. */
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;

/** One WebSocket from connect to close: the handshake, the pings, and the reading of frames. */
export class Connection {
  readonly #settings: ConnectionSettings;
  readonly #clock: Clock;
  readonly #handlers: ConnectionHandlers;
  readonly #transport: Transport;
  readonly #reader: FrameReader = new FrameReader();
  readonly #writer: FrameWriter = new FrameWriter();
  #welcome: WelcomeFrame | undefined;
  #timer: TimerHandle;
  #heardAt: number;
  #nonce = 0;
  #closed = false;
  /** An ERROR that concerns the session: why the close that follows it comes. */
  #sessionError: MillraceError | undefined;

  /** Begins to connect; throws CONNECT_FAILED at once for a URL that cannot be one. */
  constructor(
    settings: ConnectionSettings,
    connectTransport: ConnectTransport,
    clock: Clock,
    handlers: ConnectionHandlers,
  ) {
    this.#settings = settings;
    this.#clock = clock;
    this.#handlers = handlers;
    this.#heardAt = clock.now();
    const { url, headers, tls, connectTimeoutMs } = settings;
    try {
      this.#transport = connectTransport(
        url,
        { headers, tls, messageBytesMax: MESSAGE_BYTES_MAX },
        {
          onOpen: () => this.#hello(),
          onMessage: (bytes) => this.#onMessage(bytes),
          onText: () => this.#fail("MALFORMED_FRAME", "the peer sent text: it is no Millrace broker"),
          onClose: (code, reason, error) => this.#onTransportClosed(code, reason, error),
        },
      );
    } catch (cause) {
      throw new MillraceError("CONNECT_FAILED", `not a WebSocket URL: ${url}`, { cause });
    }
    this.#timer = clock.setTimer(() => {
      this.#fail("CONNECT_FAILED", `no connection to ${url} within ${connectTimeoutMs} ms`);
    }, connectTimeoutMs);
  }

  /** Present once the connection is ready. */
  get welcome(): WelcomeFrame | undefined {
    return this.#welcome;
  }

  /** Sends one encoded frame; the bytes are copied. Nothing happens once the connection is closed. */
  send(frame: Uint8Array): void {
    if (!this.#closed) this.#transport.send(frame);
  }

  /** Encodes and sends one frame. */
  sendFrame<F>(encode: (writer: FrameWriter, frame: F) => void, frame: F): void {
    const writer = this.#writer;
    writer.reset();
    encode(writer, frame);
    this.send(writer.bytes());
  }

  /** Closes in peace. The owner is not told: it knows. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#clock.clearTimer(this.#timer);
    this.#transport.close(NORMAL_CLOSURE, "");
  }

  /** Ends the connection because of `error`; `onClosed` is called before this returns. */
  fail(error: MillraceError): void {
    if (this.#closed) return;
    this.#finish(error);
    this.#transport.terminate();
  }

  #fail(code: "CONNECT_FAILED" | "CONNECTION_LOST" | "MALFORMED_FRAME", message: string): void {
    this.fail(new MillraceError(code, message));
  }

  #finish(error: MillraceError): void {
    this.#closed = true;
    this.#clock.clearTimer(this.#timer);
    this.#handlers.onClosed(error);
  }

  #hello(): void {
    const { protocolVersionMin, protocolVersion } = LIMITS;
    this.sendFrame(encodeHello, {
      versionMin: protocolVersionMin,
      versionMax: protocolVersion,
      clientName: this.#settings.name,
      features: [],
      auth: null,
      extensions: {},
    });
  }

  #onTransportClosed(code: number, reason: string, cause: Error | undefined): void {
    if (this.#closed) return;
    if (this.#sessionError !== undefined) {
      this.#finish(this.#sessionError);
      return;
    }
    const { url } = this.#settings;
    const why = cause?.message ?? (reason === "" ? `code ${code}` : `code ${code}, ${reason}`);
    const error =
      this.#welcome === undefined
        ? new MillraceError("CONNECT_FAILED", `cannot connect to ${url}: ${why}`, {
            cause,
            details: { code },
          })
        : new MillraceError("CONNECTION_LOST", `connection to ${url} lost: ${why}`, {
            cause,
            details: { code },
          });
    this.#finish(error);
  }

  #onMessage(bytes: Uint8Array): void {
    if (this.#closed) return;
    this.#heardAt = this.#clock.now();
    try {
      const reader = this.#reader;
      const type = reader.open(bytes, 0, bytes.length);
      if (this.#welcome === undefined) this.#onHandshake(type);
      else this.#onFrame(type, bytes);
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      this.fail(error);
    }
  }

  #onHandshake(type: number): void {
    if (type === FRAME_TYPE.ERROR) {
      this.#sessionError = MillraceError.fromWire(decodeError(this.#reader));
      this.fail(this.#sessionError);
      return;
    }
    if (type !== FRAME_TYPE.WELCOME) {
      throw new MillraceError("MALFORMED_FRAME", `the first frame is of type ${type} instead of WELCOME`);
    }
    const welcome = decodeWelcome(this.#reader);
    if (welcome.version < LIMITS.protocolVersionMin || welcome.version > LIMITS.protocolVersion) {
      throw new MillraceError("UNSUPPORTED_VERSION", `the broker speaks version ${welcome.version}`);
    }
    this.#welcome = welcome;
    this.#clock.clearTimer(this.#timer);
    this.#schedulePing();
    this.#handlers.onReady(this);
  }

  #onFrame(type: number, bytes: Uint8Array): void {
    const reader = this.#reader;
    if (type === FRAME_TYPE.PING) {
      this.sendFrame(encodePong, decodePing(reader));
    } else if (type === FRAME_TYPE.GOAWAY) {
      const { code, name, message } = decodeGoaway(reader);
      const error = { code, name, message, retriable: true, details: {} };
      this.#handlers.onDraining(MillraceError.fromWire(error));
    } else if (type !== FRAME_TYPE.PONG) {
      this.#handlers.onFrame(type, reader, bytes);
    }
  }

  /** The broker says that this session is at its end, and why. */
  setSessionError(error: MillraceError): void {
    this.#sessionError = error;
  }

  #schedulePing(): void {
    const { pingIntervalMs, deadAfterMs } = this.#settings;
    this.#timer = this.#clock.setTimer(() => {
      const silentMs = this.#clock.now() - this.#heardAt;
      if (silentMs >= deadAfterMs) {
        this.#fail(
          "CONNECTION_LOST",
          `nothing heard from ${this.#settings.url} for ${Math.round(silentMs)} ms`,
        );
        return;
      }
      this.#nonce = (this.#nonce + 1) >>> 0;
      this.sendFrame(encodePing, { nonce: this.#nonce });
      this.#schedulePing();
    }, pingIntervalMs);
  }
}
