import { closeSync, openSync, unlinkSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { MillraceError } from "@millrace/protocol";

const SOCKET_NAME = "lock.sock";
/** sun_path holds 108 bytes with its terminator on Linux, 104 elsewhere. */
const SOCKET_PATH_BYTES_MAX = process.platform === "linux" ? 107 : 103;
const ANSWER_TIMEOUT_MS = 2_000;

/**
 * Locks a data folder for this process by listening on a unix socket in it: Node has no flock. Whoever
 * connects is told pid and version; a refused connect means that the holder is gone and the lock is stale.
 */
export class FolderLock {
  readonly #server: Server;
  readonly #directoryFd: number;

  private constructor(server: Server, directoryFd: number) {
    this.#server = server;
    this.#directoryFd = directoryFd;
  }

  /** @throws MillraceError DATA_DIR_IN_USE */
  static async acquire(dataDir: string, version: string): Promise<FolderLock> {
    const directoryFd = openSync(dataDir, "r");
    try {
      const path = socketPath(dataDir, directoryFd);
      // Twice: the first try may only find out that the lock is stale.
      for (let attempt = 0; attempt < 2; attempt += 1) {
        const server = await listen(path, version);
        if (server !== undefined) return new FolderLock(server, directoryFd);
        const holder = await askHolder(path);
        if (holder !== undefined) {
          throw new MillraceError(
            "DATA_DIR_IN_USE",
            `the data folder is in use by another broker: folder=${dataDir} ${holder}`,
            {
              details: { dataDir, holder },
            },
          );
        }
        removeStale(path);
      }
      throw new MillraceError(
        "DATA_DIR_IN_USE",
        `another broker is taking the data folder: folder=${dataDir}`,
      );
    } catch (error) {
      closeSync(directoryFd);
      throw error;
    }
  }

  async release(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    closeSync(this.#directoryFd);
  }
}

/** A path short enough for a socket address: through the open folder where the plain one is too long. */
function socketPath(dataDir: string, directoryFd: number): string {
  const plain = join(dataDir, SOCKET_NAME);
  if (Buffer.byteLength(plain) <= SOCKET_PATH_BYTES_MAX) return plain;
  if (process.platform === "linux") return `/proc/self/fd/${directoryFd}/${SOCKET_NAME}`;
  throw new MillraceError(
    "DATA_DIR_UNUSABLE",
    `the data folder's path is too long for a socket: bytes=${Buffer.byteLength(plain)} max=${SOCKET_PATH_BYTES_MAX}`,
  );
}

/** The listening server, or undefined when the address is taken. */
function listen(path: string, version: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      socket.end(`pid=${process.pid} version=${version}\n`);
    });
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else {
        reject(
          new MillraceError("DATA_DIR_UNUSABLE", `cannot lock the data folder: ${error.message}`, {
            cause: error,
          }),
        );
      }
    });
    server.listen(path, () => {
      server.unref();
      resolve(server);
    });
  });
}

/** What the holder says of itself; undefined when nobody listens. */
function askHolder(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    let answer = "";
    // A holder that does not answer is stopped or overloaded, but alive: the folder is taken.
    const timer = setTimeout(() => {
      socket.destroy();
      resolve("(it does not answer)");
    }, ANSWER_TIMEOUT_MS);
    const done = (result: string | undefined): void => {
      clearTimeout(timer);
      resolve(result);
    };
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      answer += chunk;
    });
    socket.on("end", () => done(answer.trim()));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      done(error.code === "ECONNREFUSED" || error.code === "ENOENT" ? undefined : `(${error.code})`);
    });
  });
}

function removeStale(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
