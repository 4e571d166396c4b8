import type { TlsFiles } from "./tls-files.ts";

/** Socket.send: everything went to the kernel. */
export const SENT = 1;
/** Socket.send: some bytes wait in the process; onDrain follows. */
export const BUFFERED = 0;
/** Socket.send: nothing was sent. The frame is lost: close the session. */
export const DROPPED = -1;

export type SendOutcome = typeof SENT | typeof BUFFERED | typeof DROPPED;

/** One WebSocket connection, as the gateway sees it. Gateway thread only. No method throws, also after the close. */
export interface Socket {
  /** Sends one binary message. `frame` may be a view of shared memory; it is copied before the call returns. */
  send(frame: Uint8Array): SendOutcome;
  /** Bytes that wait in this process, the kernel's not counted. */
  bufferedAmount(): number;
  /** Sends a close frame and closes. onClose is called before this returns; nothing is received afterwards. */
  end(code: number, reason: string): void;
  /** Closes at once, without a close frame. */
  close(): void;
}

/** Who takes the events of one connection. What these throw ends that connection alone, through onFailure. */
export interface SocketHandler {
  /** `bytes` is valid until the call returns. */
  onMessage(bytes: Uint8Array): void;
  onText(): void;
  /** Buffered bytes have gone out, not necessarily all of them. */
  onDrain(): void;
  onClose(code: number): void;
  /** One of the above threw. Close the connection. */
  onFailure(error: unknown): void;
}

export interface HttpRequest {
  /** Upper case. */
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** Empty when absent. */
  readonly origin: string;
  /** A header field by its lower-case name, empty when absent. Only until the handler returns. */
  header(name: string): string;
  /** All header fields, names in lower case. Only until the handler returns. */
  eachHeader(visit: (name: string, value: string) => void): void;
}

export interface HttpReply {
  readonly status: number;
  /** undefined: none, for a status that has none. */
  readonly body: Readonly<Record<string, unknown>> | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** Close the connection behind it: the rest of the request is not wanted. */
  readonly close?: boolean;
}

/** A request that is answered later. Gateway thread only; does not throw. */
export interface HttpExchange {
  /** Once; without effect when the client has gone. */
  reply(reply: HttpReply): void;
}

/** Who takes the body of a request, and its end. What these throw is answered with 500. */
export interface HttpBody {
  /** `bytes` is valid until the call returns. Not called after the reply. */
  onBody(bytes: Uint8Array, isLast: boolean): void;
  /** The client went before it was answered. */
  onAborted(): void;
}

/** What a listener asks of the gateway. */
export interface ListenerHandler {
  /** A reply refuses the upgrade, undefined accepts it. */
  upgrade(request: HttpRequest): HttpReply | undefined;
  open(socket: Socket): SocketHandler;
  /** The answer, or who takes the body and answers later. */
  http(request: HttpRequest, exchange: HttpExchange): HttpReply | HttpBody;
  /** A hook threw; the listener has answered 500 or closed that connection. */
  failed(hook: string, error: unknown): void;
}

export interface ListenOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /**
   * Other processes of the same broker listen there, too, and the system spreads connections over them. Default: alone. Not
   * with port 0.
   */
  readonly shared?: boolean | undefined;
  /** Checked already; TLS alone is spoken then. */
  readonly tls?: TlsFiles | undefined;
}

export interface Listener {
  /** The port that is listened on. */
  readonly port: number;
  /** Refuses new connections; the open ones live on. */
  stopAccepting(): void;
  /** Closes everything at once. */
  close(): void;
}

export type Listen = (options: ListenOptions, handler: ListenerHandler) => Promise<Listener>;
