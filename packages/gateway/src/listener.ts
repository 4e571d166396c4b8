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
}

export interface HttpReply {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What a listener asks of the gateway. */
export interface ListenerHandler {
  /** A reply refuses the upgrade, undefined accepts it. */
  upgrade(request: HttpRequest): HttpReply | undefined;
  open(socket: Socket): SocketHandler;
  http(request: HttpRequest): HttpReply;
  /** A hook threw; the listener has answered 500 or closed that connection. */
  failed(hook: string, error: unknown): void;
}

export interface ListenOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
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
