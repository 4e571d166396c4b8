import { type FrameReader, MillraceError, type WelcomeFrame } from "@millrace/protocol";
import type { ClientState } from "../api/client.ts";
import { Backoff } from "../backoff.ts";
import type { Entropy } from "../entropy.ts";
import { abortedError, type ConnectSettings, closedError } from "../settings.ts";
import type { Clock, TimerHandle } from "../system-clock.ts";
import { Connection } from "./connection.ts";
import type { ConnectTransport } from "./transport.ts";

/** The machine as the client sees it. */
export interface Platform {
  readonly connectTransport: ConnectTransport;
  readonly clock: Clock;
  readonly entropy: Entropy;
}

/** Whoever uses the link is told of every session. */
export interface LinkHandlers {
  onState(state: ClientState): void;
  onConnected(connection: Connection, welcome: WelcomeFrame): void;
  onFrame(type: number, reader: FrameReader, bytes: Uint8Array): void;
  /** Nothing new should begin in this session. */
  onDraining(): void;
  /** Whether nothing is under way whose answer a drain should wait for. */
  isQuiet(): boolean;
  /** The session is over, or an attempt has failed. */
  onDisconnected(error: MillraceError): void;
  /** The link is over for good; without an error after `close()`. */
  onClosed(error: MillraceError | undefined): void;
}

/** A broker that refuses like this refuses the next attempt too. */
const FINAL: ReadonlySet<string> = new Set(["UNSUPPORTED_VERSION", "UNSUPPORTED_FEATURE", "NOT_AUTHORIZED"]);
/** A session that lived so long was no flap: the next reconnect starts with the shortest pause again. */
const STABLE_MS = 5_000;
/** How long a draining broker may take to answer what is under way. */
const DRAIN_MS = 10_000;

/** Keeps a connection to the broker: makes it, and makes it again whenever it is lost. */
export class Link {
  readonly #settings: ConnectSettings;
  readonly #platform: Platform;
  readonly #handlers: LinkHandlers;
  readonly #backoff: Backoff;
  #state: ClientState = "connecting";
  #connection: Connection | undefined;
  #timer: TimerHandle;
  #readyAt = 0;
  #first: { resolve: () => void; reject: (error: MillraceError) => void } | undefined;

  constructor(settings: ConnectSettings, platform: Platform, handlers: LinkHandlers) {
    this.#settings = settings;
    this.#platform = platform;
    this.#handlers = handlers;
    this.#backoff = new Backoff(settings.reconnectBackoffMinMs, settings.reconnectBackoffMaxMs, () =>
      platform.entropy.fraction(),
    );
  }

  get state(): ClientState {
    return this.#state;
  }

  /** The connection, while frames of new work may be sent. */
  get connection(): Connection | undefined {
    return this.#state === "connected" ? this.#connection : undefined;
  }

  /** Makes the first connection. Rejects with CONNECT_FAILED, ABORTED or the broker's error; the link is then closed. */
  open(): Promise<void> {
    const { signal } = this.#settings;
    const opened = new Promise<void>((resolve, reject) => {
      this.#first = { resolve, reject };
    });
    if (signal?.aborted === true) {
      this.#finish(abortedError(signal));
      return opened;
    }
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    this.#connect();
    return opened;
  }

  /** Ends this session; the link reconnects by itself. */
  drop(error: MillraceError): void {
    this.#connection?.fail(error);
  }

  /** Called when something under way was answered: a drain may be over. */
  checkDrained(): void {
    if (this.#state === "draining" && this.#handlers.isQuiet()) this.#endDrain();
  }

  /** Closes for good. */
  close(): void {
    if (this.#state === "closed") return;
    const connection = this.#connection;
    this.#finish(undefined);
    connection?.close();
  }

  readonly #onAbort = (): void => {
    const { signal } = this.#settings;
    if (signal === undefined || this.#state === "closed") return;
    const connection = this.#connection;
    this.#finish(abortedError(signal));
    connection?.fail(closedError("client"));
  };

  #connect(): void {
    const { connectTransport, clock } = this.#platform;
    let connection: Connection | undefined;
    try {
      connection = new Connection(this.#settings, connectTransport, clock, {
        onReady: (ready) => this.#onReady(ready),
        onFrame: (type, reader, bytes) => {
          if (this.#connection === connection) this.#handlers.onFrame(type, reader, bytes);
        },
        onDraining: (reason) => this.#onDraining(reason),
        onClosed: (error) => {
          if (this.#connection === connection) this.#onClosed(error);
        },
      });
      this.#connection = connection;
    } catch (error) {
      this.#finish(error as MillraceError);
    }
  }

  #onReady(connection: Connection): void {
    this.#readyAt = this.#platform.clock.now();
    this.#setState("connected");
    this.#handlers.onConnected(connection, connection.welcome as WelcomeFrame);
    this.#first?.resolve();
    this.#first = undefined;
  }

  #onDraining(_reason: MillraceError): void {
    if (this.#state !== "connected") return;
    this.#setState("draining");
    this.#handlers.onDraining();
    this.#timer = this.#platform.clock.setTimer(() => this.#endDrain(), DRAIN_MS);
    this.checkDrained();
  }

  #endDrain(): void {
    this.#platform.clock.clearTimer(this.#timer);
    this.drop(new MillraceError("SERVER_DRAINING", "the broker is about to stop"));
  }

  #onClosed(error: MillraceError): void {
    const { clock } = this.#platform;
    const { reconnect, retryFirstConnect } = this.#settings;
    clock.clearTimer(this.#timer);
    this.#connection = undefined;
    const wasConnected = this.#state === "connected" || this.#state === "draining";
    const goesOn = this.#first === undefined ? reconnect : retryFirstConnect;
    if (!goesOn || FINAL.has(error.code)) {
      this.#finish(error);
      return;
    }
    if (wasConnected && clock.now() - this.#readyAt >= STABLE_MS) this.#backoff.reset();
    this.#setState(this.#first === undefined ? "reconnecting" : "connecting");
    // The pause first: a listener may close the client.
    this.#timer = clock.setTimer(() => this.#connect(), this.#backoff.next());
    this.#handlers.onDisconnected(error);
  }

  #finish(error: MillraceError | undefined): void {
    if (this.#state === "closed") return;
    this.#platform.clock.clearTimer(this.#timer);
    this.#settings.signal?.removeEventListener("abort", this.#onAbort);
    this.#connection = undefined;
    this.#setState("closed");
    this.#first?.reject(error ?? closedError("client"));
    this.#first = undefined;
    this.#handlers.onClosed(error);
  }

  #setState(state: ClientState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#handlers.onState(state);
  }
}
