import { randomInt } from "node:crypto";
import { unlinkSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MillraceError } from "@millrace/protocol";

/** Where `port: 0` is looked for: below what systems give to programs that ask for any port, and above what services have. */
const FREE_PORT_MIN = 20_000;
const FREE_PORT_END = 32_000;
const FREE_PORT_TRIES = 200;

/**
 * The right to let nodes listen on a port. They share it (SO_REUSEPORT), and so would a second cluster: its nodes would get a
 * part of the connections, and nobody would notice. A supervisor holds this lock as long as it lives.
 */
export class PortLock {
  readonly port: number;
  readonly #server: Server;
  readonly #path: string;

  private constructor(port: number, server: Server, path: string) {
    this.port = port;
    this.#server = server;
    this.#path = path;
  }

  /**
   * `isOurs`: nodes that are to be adopted listen there, so that it need not be free. Port 0 takes a free one.
   * @throws MillraceError PORT_IN_USE, PORT_FORBIDDEN, ADDRESS_NOT_AVAILABLE
   */
  static async acquire(host: string, port: number, isOurs: boolean): Promise<PortLock> {
    if (port !== 0) {
      const lock = await take(host, port);
      if (lock === undefined) {
        throw inUse(host, port, "another supervisor has its nodes listen there");
      }
      if (isOurs) return lock;
      try {
        await probe(host, port);
        return lock;
      } catch (error) {
        await lock.release();
        throw error;
      }
    }
    for (let tries = 1; ; tries += 1) {
      const lock = await take(host, randomInt(FREE_PORT_MIN, FREE_PORT_END));
      try {
        if (lock !== undefined) {
          await probe(host, lock.port);
          return lock;
        }
      } catch (error) {
        await lock?.release();
        if ((error as MillraceError).code !== "PORT_IN_USE" || tries === FREE_PORT_TRIES) throw error;
      }
    }
  }

  async release(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    if (!this.#path.startsWith("\0")) removeSocket(this.#path);
  }

  /** For `take`. */
  static of(port: number, server: Server, path: string): PortLock {
    return new PortLock(port, server, path);
  }
}

/** Undefined when somebody else has it. */
async function take(host: string, port: number): Promise<PortLock | undefined> {
  const name = `millrace-port-${port}-${host.replaceAll(/[^\w.]/g, "_")}`;
  // Linux has sockets without a file, which go with their process.
  const path = process.platform === "linux" ? `\0${name}` : join(tmpdir(), `${name}.sock`);
  for (let isRetry = false; ; isRetry = true) {
    const server = await listenAt(path);
    if (server !== undefined) {
      server.unref();
      return PortLock.of(port, server, path);
    }
    if (path.startsWith("\0") || isRetry || (await isAnswered(path))) return undefined;
    removeSocket(path);
  }
}

function listenAt(path: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else
        reject(new MillraceError("PORT_IN_USE", `cannot lock the port: ${error.message}`, { cause: error }));
    });
    server.listen(path, () => resolve(server));
  });
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** Throws unless nobody listens there, shared or alone. */
function probe(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (cause: NodeJS.ErrnoException) => reject(refusalOf(host, port, cause)));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()));
  });
}

function refusalOf(host: string, port: number, cause: NodeJS.ErrnoException): MillraceError {
  if (cause.code === "EADDRINUSE") return inUse(host, port, "another program listens there", cause);
  const isForbidden = cause.code === "EACCES" || cause.code === "EPERM";
  return new MillraceError(
    isForbidden ? "PORT_FORBIDDEN" : "ADDRESS_NOT_AVAILABLE",
    `cannot listen on ${host} port ${port}: ${isForbidden ? "this user may not listen there" : "this machine has no such address"}`,
    { cause, details: { host, port, errno: cause.code ?? "" } },
  );
}

function inUse(host: string, port: number, why: string, cause?: unknown): MillraceError {
  return new MillraceError("PORT_IN_USE", `cannot listen on ${host} port ${port}: ${why}`, {
    cause,
    details: { host, port },
  });
}

function removeSocket(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
