import { randomInt } from "node:crypto";
import { closeSync, openSync, readdirSync, renameSync, unlinkSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MillraceError } from "@millrace/protocol";

/** Each process that wants the folder has a socket of its own here; the number is random. */
const SOCKET_NAME = /^lock-\d+\.sock$/;
const SOCKET_NAME_BYTES_MAX = "lock-4294967295.sock.tmp".length;
/** sun_path holds 108 bytes with its terminator on Linux, 104 elsewhere. */
const SOCKET_PATH_BYTES_MAX = process.platform === "linux" ? 107 : 103;
const ANSWER_TIMEOUT_MS = 2_000;
const TRIES_MAX = 8;
const WAIT_MS_MAX = 50;

const GONE = "gone";
const TRYING = "trying";

/**
 * Locks a data folder for this process by listening on a unix socket in it: Node has no flock. Whoever
 * connects is told pid and version; a refused connect means that the holder is gone and the lock is stale.
 *
 * Two that take over a stale lock must not remove each other's socket. So nobody takes the place of another:
 * each shows a socket under a name of its own, already listening, and only then looks at the others. Of two
 * that are alive, the one that looks later sees the earlier one; if that is still looking too, both withdraw
 * and try again after a random while.
 */
export class FolderLock {
  readonly #server: Server;
  readonly #path: string;
  readonly #directoryFd: number;

  private constructor(server: Server, path: string, directoryFd: number) {
    this.#server = server;
    this.#path = path;
    this.#directoryFd = directoryFd;
  }

  /** @throws MillraceError DATA_DIR_IN_USE, DATA_DIR_UNUSABLE */
  static async acquire(dataDir: string, version: string): Promise<FolderLock> {
    const directoryFd = openFolder(dataDir);
    try {
      const folder = socketFolder(dataDir, directoryFd);
      for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
        const name = `lock-${randomInt(2 ** 32)}.sock`;
        const path = join(folder, name);
        let says = TRYING;
        const server = await listen(path, () => `${says} pid=${process.pid} version=${version}\n`);
        let other: string | undefined;
        try {
          other = await askOthers(folder, name);
        } catch (error) {
          await withdraw(server, path);
          throw error;
        }
        if (other === undefined) {
          says = "holding";
          return new FolderLock(server, path, directoryFd);
        }
        await withdraw(server, path);
        if (!other.startsWith(TRYING)) {
          throw new MillraceError(
            "DATA_DIR_IN_USE",
            `the data folder is in use by another broker: folder=${dataDir} ${other}`,
            { details: { dataDir, holder: other } },
          );
        }
        await sleep(randomInt(WAIT_MS_MAX * tries));
      }
      throw new MillraceError(
        "DATA_DIR_IN_USE",
        `other brokers are taking the data folder: folder=${dataDir}`,
        { details: { dataDir } },
      );
    } catch (error) {
      closeSync(directoryFd);
      throw error;
    }
  }

  async release(): Promise<void> {
    await withdraw(this.#server, this.#path);
    closeSync(this.#directoryFd);
  }
}

function openFolder(dataDir: string): number {
  try {
    return openSync(dataDir, "r");
  } catch (cause) {
    throw new MillraceError("DATA_DIR_UNUSABLE", `cannot open the data folder: ${dataDir}`, { cause });
  }
}

/** A path short enough for a socket address: through the open folder where the plain one is too long. */
function socketFolder(dataDir: string, directoryFd: number): string {
  const bytes = Buffer.byteLength(dataDir) + 1 + SOCKET_NAME_BYTES_MAX;
  if (bytes <= SOCKET_PATH_BYTES_MAX) return dataDir;
  if (process.platform === "linux") return `/proc/self/fd/${directoryFd}`;
  throw new MillraceError(
    "DATA_DIR_UNUSABLE",
    `the data folder's path is too long for a socket: bytes=${bytes} max=${SOCKET_PATH_BYTES_MAX}`,
  );
}

/** A server that listens before its name appears: a socket that refuses has nobody behind it, for good. */
function listen(path: string, says: () => string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error): void => {
      reject(
        new MillraceError("DATA_DIR_UNUSABLE", `cannot lock the data folder: ${cause.message}`, { cause }),
      );
    };
    const server = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      // Whoever asked need not hang up for the lock to be released.
      socket.end(says(), () => socket.destroy());
    });
    server.once("error", fail);
    const hidden = `${path}.tmp`;
    server.listen(hidden, () => {
      server.unref();
      try {
        renameSync(hidden, path);
        resolve(server);
      } catch (error) {
        server.close();
        fail(error as Error);
      }
    });
  });
}

async function withdraw(server: Server, path: string): Promise<void> {
  remove(path);
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

/** What the first other one alive says of itself, a holder before one that tries; undefined when there is none. */
async function askOthers(folder: string, own: string): Promise<string | undefined> {
  let trying: string | undefined;
  for (const name of readdirSync(folder)) {
    if (name === own || !SOCKET_NAME.test(name)) continue;
    const path = join(folder, name);
    const answer = await ask(path);
    if (answer === GONE) remove(path);
    else if (answer.startsWith(TRYING)) trying = answer;
    else return answer;
  }
  return trying;
}

function ask(path: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(path);
    let answer = "";
    // A holder that does not answer is stopped or overloaded, but alive: the folder is taken.
    const timer = setTimeout(() => {
      socket.destroy();
      resolve("(it does not answer)");
    }, ANSWER_TIMEOUT_MS);
    const done = (result: string): void => {
      clearTimeout(timer);
      resolve(result);
    };
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      answer += chunk;
    });
    socket.on("end", () => done(answer.trim() || "(it says nothing)"));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      done(error.code === "ECONNREFUSED" || error.code === "ENOENT" ? GONE : `(${error.code})`);
    });
  });
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
