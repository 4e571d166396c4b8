import type * as Uws from "uWebSockets.js";
import { createRequire } from "node:module";
import { MillraceError } from "@millrace/protocol";
import { httpStatusLine, INTERNAL_REPLY } from "./http-reply.ts";
import { GATEWAY_LIMITS } from "./limits.ts";
import {
  BUFFERED,
  DROPPED,
  type HttpBody,
  type HttpExchange,
  type HttpReply,
  type HttpRequest,
  type Listener,
  type ListenerHandler,
  type ListenOptions,
  SENT,
  type SendOutcome,
  type Socket,
  type SocketHandler,
} from "./listener.ts";
import { probePort } from "./port-probe.ts";
import { passphraseOf, type TlsFiles } from "./tls-files.ts";

// The only file that knows uWebSockets.js. A throw in one of its HTTP callbacks aborts the process past
// `uncaughtException`, and one in a WebSocket callback is uncaught: so every callback below does nothing but
// call `guard`, and no uWS object leaves this file.

type Connection = Uws.WebSocket<ConnectionData>;
interface ConnectionData {
  socket: UwsSocket | null;
}

/** uWS shares a port (SO_REUSEPORT) unless it is told to have it alone. */
const LISTEN_SHARED = 0;

/** What both binaries have and the package's declarations lack. */
interface ExclusiveListen {
  readonly LIBUS_LISTEN_EXCLUSIVE_PORT: number;
  listen(
    host: string,
    port: number,
    options: number,
    done: (token: Uws.us_listen_socket | false) => void,
  ): void;
}

const WS_DROPPED = 2;
const WS_SENT = 1;
const CLOSE_INTERNAL = 1011;

/** uWS keeps only this many bytes of a close reason: a control frame has at most 125 bytes, two are the code. */
const CLOSE_REASON_BYTES_MAX = 123;

/**
 * Listens for WebSocket and HTTP on one port, with uWebSockets.js.
 * @throws MillraceError PORT_IN_USE, PORT_FORBIDDEN, ADDRESS_NOT_AVAILABLE or NATIVE_MODULE_MISSING.
 */
export async function listenWithUws(options: ListenOptions, handler: ListenerHandler): Promise<Listener> {
  const uws = loadUws();
  const app = options.tls === undefined ? uws.App() : secureApp(uws, options.tls);
  app.ws<ConnectionData>("/*", webSocketBehavior(handler));
  app.any("/*", (res, req) => {
    answerHttp(res, handler, "http", (exchange) =>
      handler.http(requestOf(req, req.getMethod().toUpperCase()), exchange),
    );
  });
  // A port of another program, or one of our own that is just being given up, is told apart by a probe: uWS
  // says only `false`. The exclusive listen is what decides; without it two brokers would share the clients. Nodes of a cluster
  // are meant to, and their supervisor holds a lock for the port.
  let token = await tryListen(uws, app, options);
  if (token === false) {
    await probePort(options);
    token = await tryListen(uws, app, options);
  }
  if (token === false) {
    throw new MillraceError("PORT_IN_USE", `cannot listen on ${options.host} port ${options.port}`, {
      details: { host: options.host, port: options.port },
    });
  }
  return new UwsListener(uws, app, token);
}

function secureApp(uws: typeof Uws, files: TlsFiles): Uws.TemplatedApp {
  const { certFile, keyFile } = files;
  const passphrase = passphraseOf(files);
  try {
    return uws.SSLApp({
      cert_file_name: certFile,
      key_file_name: keyFile,
      ...(passphrase === undefined ? {} : { passphrase }),
      // OpenSSL would keep 34 KiB of buffers for each idle connection.
      ssl_prefer_low_memory_usage: true,
    });
  } catch (cause) {
    throw new MillraceError("TLS_FILE_INVALID", `${certFile} or ${keyFile} cannot be used`, {
      cause,
      details: { file: certFile },
    });
  }
}

class UwsListener implements Listener {
  readonly port: number;
  readonly #uws: typeof Uws;
  readonly #app: Uws.TemplatedApp;
  #token: Uws.us_listen_socket | undefined;

  constructor(uws: typeof Uws, app: Uws.TemplatedApp, token: Uws.us_listen_socket) {
    this.#uws = uws;
    this.#app = app;
    this.#token = token;
    this.port = uws.us_socket_local_port(token);
  }

  stopAccepting(): void {
    if (this.#token === undefined) return;
    this.#uws.us_listen_socket_close(this.#token);
    this.#token = undefined;
  }

  close(): void {
    this.stopAccepting();
    this.#app.close();
  }
}

class UwsSocket implements Socket {
  handler: SocketHandler | null = null;
  #ws: Connection | null;

  constructor(ws: Connection) {
    this.#ws = ws;
  }

  send(frame: Uint8Array): SendOutcome {
    const ws = this.#ws;
    if (ws === null) return DROPPED;
    const outcome = ws.send(frame, true, false);
    return outcome === WS_SENT ? SENT : outcome === WS_DROPPED ? DROPPED : BUFFERED;
  }

  bufferedAmount(): number {
    return this.#ws === null ? 0 : this.#ws.getBufferedAmount();
  }

  end(code: number, reason: string): void {
    const ws = this.#ws;
    if (ws === null) return;
    ws.end(code, reason.length > CLOSE_REASON_BYTES_MAX ? reason.slice(0, CLOSE_REASON_BYTES_MAX) : reason);
  }

  close(): void {
    this.#ws?.close();
  }

  /** uWS calls its close hook inside end() and close(); from then on the native object must not be touched. */
  detach(): SocketHandler | null {
    this.#ws = null;
    return this.handler;
  }
}

function webSocketBehavior(handler: ListenerHandler): Uws.WebSocketBehavior<ConnectionData> {
  return {
    maxPayloadLength: GATEWAY_LIMITS.messageBytesMax,
    maxBackpressure: GATEWAY_LIMITS.backpressureBytesMax,
    idleTimeout: GATEWAY_LIMITS.socketIdleSeconds,
    // Our PING frames replace those of WebSocket, which browsers cannot send.
    sendPingsAutomatically: false,
    compression: 0,
    upgrade: (res, req, context) => upgrade(res, req, context, handler),
    open: (ws) => {
      const socket = new UwsSocket(ws);
      ws.getUserData().socket = socket;
      try {
        socket.handler = handler.open(socket);
      } catch (error) {
        report(handler, "open", error);
        endQuietly(socket);
      }
    },
    message: (ws, message, isBinary) => {
      const socket = ws.getUserData().socket;
      const session = socket?.handler;
      if (!session) return;
      try {
        if (isBinary) session.onMessage(new Uint8Array(message));
        else session.onText();
      } catch (error) {
        failSocket(handler, socket as UwsSocket, "message", error);
      }
    },
    drain: (ws) => {
      const socket = ws.getUserData().socket;
      const session = socket?.handler;
      if (!session) return;
      try {
        session.onDrain();
      } catch (error) {
        failSocket(handler, socket as UwsSocket, "drain", error);
      }
    },
    close: (ws, code) => {
      const session = ws.getUserData().socket?.detach();
      if (!session) return;
      try {
        session.onClose(code);
      } catch (error) {
        report(handler, "close", error);
      }
    },
  };
}

function upgrade(
  res: Uws.HttpResponse,
  req: Uws.HttpRequest,
  context: Uws.us_socket_context_t,
  handler: ListenerHandler,
): void {
  answerHttp(res, handler, "upgrade", () => {
    const refusal = handler.upgrade(requestOf(req, "GET"));
    if (refusal !== undefined) return refusal;
    res.upgrade<ConnectionData>(
      { socket: null },
      req.getHeader("sec-websocket-key"),
      req.getHeader("sec-websocket-protocol"),
      req.getHeader("sec-websocket-extensions"),
      context,
    );
    return undefined;
  });
}

/** Answers with what `make` returns (undefined: it has answered itself), or with 500 when it throws. */
function answerHttp(
  res: Uws.HttpResponse,
  handler: ListenerHandler,
  hook: string,
  make: (exchange: HttpExchange) => HttpReply | HttpBody | undefined,
): void {
  const exchange = new UwsExchange(res, handler, hook);
  try {
    // First of all: from an abort on nothing of the response may be touched.
    res.onAborted(() => exchange.abort());
    let made: HttpReply | HttpBody | undefined;
    try {
      made = make(exchange);
    } catch (error) {
      report(handler, hook, error);
      made = INTERNAL_REPLY;
    }
    if (made === undefined) return;
    if ("status" in made) exchange.reply(made);
    else exchange.receive(made);
  } catch (error) {
    // The response is gone; anything thrown further would abort the process.
    exchange.fail(error);
  }
}

class UwsExchange implements HttpExchange {
  readonly #handler: ListenerHandler;
  readonly #hook: string;
  /** Until it is answered or aborted. */
  #res: Uws.HttpResponse | null;
  #body: HttpBody | null = null;

  constructor(res: Uws.HttpResponse, handler: ListenerHandler, hook: string) {
    this.#res = res;
    this.#handler = handler;
    this.#hook = hook;
  }

  reply(reply: HttpReply): void {
    const res = this.#res;
    if (res === null) return;
    this.#res = null;
    this.#body = null;
    try {
      // Answers of later turns are not corked by themselves: each header would be a system call.
      res.cork(() => this.#write(res, reply));
    } catch (error) {
      this.#failed(res, error);
    }
  }

  receive(body: HttpBody): void {
    const res = this.#res;
    if (res === null) return;
    this.#body = body;
    res.onData((chunk, isLast) => {
      const taker = this.#body;
      if (taker === null) return;
      try {
        taker.onBody(new Uint8Array(chunk), isLast);
      } catch (error) {
        report(this.#handler, "body", error);
        this.reply({ ...INTERNAL_REPLY, close: true });
      }
    });
  }

  abort(): void {
    const body = this.#body;
    this.#res = null;
    this.#body = null;
    if (body === null) return;
    try {
      body.onAborted();
    } catch (error) {
      report(this.#handler, "aborted", error);
    }
  }

  fail(error: unknown): void {
    const res = this.#res;
    this.#res = null;
    this.#body = null;
    this.#failed(res, error);
  }

  /** Called back by uWS, through which nothing may be thrown. */
  #write(res: Uws.HttpResponse, { status, body, headers, close = false }: HttpReply): void {
    try {
      res.writeStatus(httpStatusLine(status));
      if (body !== undefined) res.writeHeader("content-type", "application/json; charset=utf-8");
      for (const name in headers) res.writeHeader(name, headers[name] as string);
      res.writeHeader("cache-control", "no-store");
      // Any argument, also undefined, would be stated as a length.
      if (body === undefined) res.endWithoutBody();
      else res.end(`${JSON.stringify(body)}\n`, close);
    } catch (error) {
      this.#failed(res, error);
    }
  }

  #failed(res: Uws.HttpResponse | null, error: unknown): void {
    report(this.#handler, this.#hook, error);
    try {
      res?.close();
    } catch {}
  }
}

function requestOf(req: Uws.HttpRequest, method: string): HttpRequest {
  return {
    method,
    path: req.getUrl(),
    origin: req.getHeader("origin"),
    header: (name) => req.getHeader(name),
    eachHeader: (visit) => req.forEach(visit),
  };
}

function failSocket(handler: ListenerHandler, socket: UwsSocket, hook: string, error: unknown): void {
  report(handler, hook, error);
  try {
    socket.handler?.onFailure(error);
  } catch (second) {
    report(handler, hook, second);
  }
  // onFailure should have ended it. If it failed as well, the connection must not stay half alive.
  endQuietly(socket);
}

function endQuietly(socket: UwsSocket): void {
  try {
    socket.end(CLOSE_INTERNAL, "INTERNAL");
  } catch {}
}

function report(handler: ListenerHandler, hook: string, error: unknown): void {
  try {
    handler.failed(hook, error);
  } catch {}
}

function tryListen(
  uws: typeof Uws,
  app: Uws.TemplatedApp,
  options: ListenOptions,
): Promise<Uws.us_listen_socket | false> {
  return new Promise((resolve) => {
    const exclusive = (uws as unknown as ExclusiveListen).LIBUS_LISTEN_EXCLUSIVE_PORT;
    const how = options.shared === true ? LISTEN_SHARED : exclusive;
    (app as unknown as ExclusiveListen).listen(options.host, options.port, how, resolve);
  });
}

/** @throws MillraceError NATIVE_MODULE_MISSING where this platform has none. */
export function requireNativeModule(): void {
  loadUws();
}

function loadUws(): typeof Uws {
  try {
    return createRequire(import.meta.url)("uWebSockets.js") as typeof Uws;
  } catch (error) {
    throw nativeModuleMissing(error);
  }
}

/** Exported for its test. */
export function nativeModuleMissing(cause: unknown): MillraceError {
  const header = (process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined)
    ?.header;
  const glibc = header?.glibcVersionRuntime ?? "none";
  return new MillraceError(
    "NATIVE_MODULE_MISSING",
    "uWebSockets.js could not be loaded. It has binaries for Linux with glibc (2.27 for Node 20, 2.38 for Node 22 " +
      `and newer), macOS and Windows, on x64 and arm64; this is ${process.platform} ${process.arch}, ` +
      `Node ${process.version}, glibc ${glibc}.`,
    { cause, details: { platform: process.platform, arch: process.arch, node: process.version, glibc } },
  );
}
