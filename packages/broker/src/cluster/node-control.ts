import { chmodSync, renameSync, statSync, unlinkSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { MillraceError } from "@millrace/protocol";
import { BackupError } from "../backup/backup-error.ts";
import { LineChannel, objectOfLine } from "../backup/line-channel.ts";
import { BROKER_LIMITS } from "../limits.ts";
import type { Logger } from "../logger.ts";
import {
  type HelloResult,
  NODE_CONTROL_PROTOCOL,
  type NodeAnswerLine,
  type NodeControlErrorCode,
  type NodeEventData,
  type NodeEventName,
  type NodeMethod,
  type NodeRequestLine,
  type NodeRequests,
} from "./control-messages.ts";
import { failureCodeOf } from "./failure-codes.ts";

/** Connecting takes write permission: whoever owns the folder, and nobody else. */
const SOCKET_MODE = 0o600;

type Params = Readonly<Record<string, unknown>>;

/** What a supervisor may have done, and a node does it. `params` are as they came. */
export type NodeCommands = {
  readonly [M in Exclude<NodeMethod, "hello" | "ping">]: (
    params: Params,
  ) => Promise<NodeRequests[M]["result"]> | NodeRequests[M]["result"];
};

export interface NodeControlOptions {
  /** Address of the socket. */
  readonly path: string;
  readonly hello: () => HelloResult;
  readonly commands: NodeCommands;
  readonly logger: Logger;
  /** Tests only. */
  readonly silenceMsMax?: number;
}

/** A command that is refused by the channel itself. */
export class NodeControlFailure extends Error {
  readonly code: NodeControlErrorCode;

  constructor(code: NodeControlErrorCode, message: string) {
    super(message);
    this.name = "NodeControlFailure";
    this.code = code;
  }
}

interface Connection {
  readonly socket: Socket;
  readonly channel: LineChannel;
  /** Requests that are not answered yet. */
  pending: number;
  onAnswered: (() => void) | undefined;
  supervisorPid: number;
}

/** Those that anybody may ask who may open the socket. */
const FREE: ReadonlySet<string> = new Set(["hello", "ping", "status"]);

/**
 * The control channel of a node, see control-messages.ts. What one connection does wrong ends that one alone. A node does not
 * need anybody here: what was begun for a supervisor goes on when that is gone. Main thread.
 */
export class NodeControl {
  readonly #options: NodeControlOptions;
  readonly #server: Server;
  /** Of the socket: the name may belong to a successor by the time this one ends. */
  readonly #inode: number;
  readonly #connections: Set<Connection> = new Set();
  #commander: Connection | undefined;

  private constructor(options: NodeControlOptions, server: Server) {
    this.#options = options;
    this.#server = server;
    this.#inode = statSync(options.path).ino;
    server.on("connection", (socket: Socket) => this.#accept(socket));
  }

  /** @throws MillraceError DATA_DIR_IN_USE when somebody listens there; DATA_DIR_UNUSABLE */
  static async listen(options: NodeControlOptions): Promise<NodeControl> {
    const { path } = options;
    if (await isAlive(path)) {
      throw new MillraceError("DATA_DIR_IN_USE", `another process runs as this node: socket=${path}`, {
        details: { socket: path },
      });
    }
    return new NodeControl(options, await listenAt(path));
  }

  /** Process id of the supervisor that commands; undefined = none does. */
  get commander(): number | undefined {
    return this.#commander?.supervisorPid;
  }

  /** Tells the one who commands, if there is one. */
  say<E extends NodeEventName>(event: E, data: NodeEventData[E]): void {
    if (this.#commander !== undefined) this.#send(this.#commander, { event, data });
  }

  async close(): Promise<void> {
    const { path } = this.#options;
    try {
      if (statSync(path).ino === this.#inode) unlinkSync(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    // What was said last is on its way, and whoever does not read it holds nobody up.
    for (const { channel } of this.#connections) channel.end();
    const timer = setTimeout(() => {
      for (const { channel } of this.#connections) channel.destroy();
    }, BROKER_LIMITS.controlRequestTimeoutMs);
    await closed;
    clearTimeout(timer);
  }

  #accept(socket: Socket): void {
    const channel = new LineChannel(socket, BROKER_LIMITS.nodeControlLineBytesMax);
    const connection: Connection = { socket, channel, pending: 0, onAnswered: undefined, supervisorPid: 0 };
    this.#connections.add(connection);
    channel.onClose(() => this.#closed(connection));
    void this.#serve(connection);
  }

  #closed(connection: Connection): void {
    this.#connections.delete(connection);
    connection.onAnswered?.();
    if (this.#commander !== connection) return;
    this.#commander = undefined;
    this.#options.logger.log("warn", "supervisor-lost", { supervisorPid: connection.supervisorPid });
  }

  async #serve(connection: Connection): Promise<void> {
    const { channel } = connection;
    try {
      if (this.#connections.size > BROKER_LIMITS.controlConnectionsMax) {
        throw new NodeControlFailure(
          "TOO_MANY_CONNECTIONS",
          `at most ${BROKER_LIMITS.controlConnectionsMax} connections at a time`,
        );
      }
      const silenceMsMax = this.#options.silenceMsMax ?? BROKER_LIMITS.nodeControlSilenceMsMax;
      for (;;) {
        const line = await channel.next(silenceMsMax);
        if (line === undefined) return;
        void this.#carryOut(connection, requestOf(line));
        if (connection.pending >= BROKER_LIMITS.nodeControlPendingMax) await answered(connection);
      }
    } catch (error) {
      // Somebody who just keeps the connection is no reason to warn.
      if (!(error instanceof BackupError && error.code === "TIMEOUT")) {
        const { code, message } = errorOf(error);
        this.#options.logger.log("warn", "node-control-refused", { code, error: message });
        this.#send(connection, { id: null, error: { code, message } });
      }
    } finally {
      channel.end();
    }
  }

  async #carryOut(connection: Connection, { id, method, params }: NodeRequestLine): Promise<void> {
    connection.pending += 1;
    try {
      this.#send(connection, { id, result: await this.#run(connection, method, params) });
    } catch (error) {
      const { code, message } = errorOf(error);
      // A parameter that is wrong, or a defect of ours.
      if (code === "INTERNAL" || code === "BAD_REQUEST") {
        this.#options.logger.log("error", "node-control-failed", { method, error: message });
      }
      this.#send(connection, { id, error: { code, message } });
    } finally {
      connection.pending -= 1;
      connection.onAnswered?.();
    }
  }

  /** Begins at once: what one connection asks is begun in its order. */
  #run(connection: Connection, method: string, params: Params): object | Promise<object> {
    if (method === "hello") return this.#hello(connection, params);
    if (method === "ping") return {};
    const { commands } = this.#options;
    if (!Object.hasOwn(commands, method)) {
      throw new NodeControlFailure("UNKNOWN_METHOD", `no such method: ${method}`);
    }
    if (!FREE.has(method) && this.#commander !== connection) {
      throw new NodeControlFailure("SUPERSEDED", "this connection does not command: say hello");
    }
    return commands[method as keyof NodeCommands](params);
  }

  #hello(connection: Connection, { protocol, supervisorPid }: Params): HelloResult {
    if (protocol !== NODE_CONTROL_PROTOCOL) {
      throw new NodeControlFailure(
        "UNSUPPORTED_VERSION",
        `protocol must be ${NODE_CONTROL_PROTOCOL}: protocol=${String(protocol)}`,
      );
    }
    if (!Number.isSafeInteger(supervisorPid)) throw new TypeError("hello must state supervisorPid");
    connection.supervisorPid = supervisorPid as number;
    const before = this.#commander;
    this.#commander = connection;
    if (before !== undefined && before !== connection) {
      this.#send(before, { event: "superseded", data: { supervisorPid } });
    }
    this.#options.logger.log("info", "supervisor-found", { supervisorPid });
    return this.#options.hello();
  }

  #send(connection: Connection, line: NodeAnswerLine): void {
    // Whoever asks on and on and does not read costs no more than this.
    if (connection.socket.writableLength > BROKER_LIMITS.nodeControlUnreadBytesMax) {
      connection.channel.destroy();
      return;
    }
    connection.channel.send(line);
  }
}

/** @throws NodeControlFailure, BackupError BAD_REQUEST */
function requestOf(line: string): NodeRequestLine {
  const { id, method, params = {} } = objectOfLine(line);
  if (!Number.isSafeInteger(id) || typeof method !== "string") {
    throw new NodeControlFailure("BAD_REQUEST", "a request has an id, a whole number, and a method");
  }
  if (typeof params !== "object" || params === null || Array.isArray(params)) {
    throw new NodeControlFailure("BAD_REQUEST", "params is an object");
  }
  return { id: id as number, method, params: params as Params };
}

function answered(connection: Connection): Promise<void> {
  return new Promise((resolve) => {
    connection.onAnswered = () => {
      connection.onAnswered = undefined;
      resolve();
    };
  });
}

function errorOf(error: unknown): { code: string; message: string } {
  // What a parameter should have been.
  if (error instanceof TypeError || error instanceof RangeError) {
    return { code: "BAD_REQUEST", message: error.message };
  }
  const { message } = error as { message?: unknown };
  return { code: failureCodeOf(error), message: String(message ?? error) };
}

function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (cause: NodeJS.ErrnoException) => {
      if (cause.code === "ECONNREFUSED" || cause.code === "ENOENT") resolve(false);
      else reject(unusable(cause));
    });
  });
}

/** It listens before its name appears: a socket that refuses has nobody behind it. */
function listenAt(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    const hidden = `${path}.tmp`;
    try {
      unlinkSync(hidden);
    } catch {
      // As it should be: there is none.
    }
    server.once("error", (cause) => reject(unusable(cause)));
    server.listen(hidden, () => {
      server.unref();
      try {
        chmodSync(hidden, SOCKET_MODE);
        renameSync(hidden, path);
        resolve(server);
      } catch (error) {
        server.close();
        reject(unusable(error as Error));
      }
    });
  });
}

function unusable(cause: Error): MillraceError {
  return new MillraceError("DATA_DIR_UNUSABLE", `cannot open the node's control socket: ${cause.message}`, {
    cause,
  });
}
