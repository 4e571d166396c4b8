/** What a transport tells its owner; never from inside `connect` or `send`. */
export interface TransportHandlers {
  onOpen(): void;
  /** One binary message. The bytes belong to the handler, who may keep views of them. */
  onMessage(bytes: Uint8Array): void;
  /** The peer sent text; the protocol has none. */
  onText(): void;
  /** Once, the last call. `error` says why no connection was made or why it broke, where that is known. */
  onClose(code: number, reason: string, error: Error | undefined): void;
}

/** One WebSocket. */
export interface Transport {
  /** Sends one binary message. The bytes are copied before the call returns. Ignored when not open. */
  send(bytes: Uint8Array): void;
  /** Closing handshake, with a time limit. */
  close(code: number, reason: string): void;
  /** Ends the connection at once. */
  terminate(): void;
}

/** How a connection is secured; Node only, see ConnectOptions. */
export interface TlsOptions {
  /**
   * Certificates in PEM that are trusted instead of those Node brings along, for a broker whose certificate no public
   * authority has signed. NODE_EXTRA_CA_CERTS does the same for a whole process.
   */
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined;
}

/** What a transport may be told about a connection. */
export interface TransportOptions {
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly tls?: TlsOptions | undefined;
  readonly messageBytesMax: number;
}

/** Begins to connect. Throws TypeError or SyntaxError for a URL that is not ws: or wss:. */
export type ConnectTransport = (
  url: string,
  options: TransportOptions,
  handlers: TransportHandlers,
) => Transport;
