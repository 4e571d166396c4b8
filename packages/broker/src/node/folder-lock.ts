import { randomInt } from "node:crypto";
import { chmodSync, readdirSync, renameSync, unlinkSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MillraceError } from "@millrace/protocol";
import { NODE_SOCKET_NAME } from "../cluster/control-messages.ts";
import { SocketFolder } from "./socket-folder.ts";

/** Each process that wants the folder has a socket of its own here; the number is random. */
const SOCKET_NAME = /^lock-\d+\.sock$/;
const ANSWER_TIMEOUT_MS = 2_000;
const TRIES_MAX = 8;
const WAIT_MS_MAX = 50;

/** Write permission is what connecting takes: whoever owns the folder, and nobody else. */
const SOCKET_MODE = 0o600;

const GONE = "gone";
const TRYING = "trying";
const HOLDING = "holding";

/** What a connection gets: the line that it was waiting for, and whoever goes on talking to it, if anybody does. */
interface Reception {
  says: string;
  talk: ((socket: Socket) => void) | undefined;
  /** Those that were handed over. */
  readonly sockets: Set<Socket>;
}

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
  readonly #folder: SocketFolder;
  readonly #reception: Reception;

  private constructor(server: Server, path: string, folder: SocketFolder, reception: Reception) {
    this.#server = server;
    this.#path = path;
    this.#folder = folder;
    this.#reception = reception;
  }

  /**
   * Nodes of a cluster that live on without their supervisor have the folder in use as well; only another supervisor may come
   * to them ("nodes-may-live").
   * @throws MillraceError DATA_DIR_IN_USE, DATA_DIR_UNUSABLE
   */
  static async acquire(
    dataDir: string,
    version: string,
    nodes: "no-nodes" | "nodes-may-live" = "no-nodes",
  ): Promise<FolderLock> {
    const folder = SocketFolder.open(dataDir);
    try {
      for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
        const name = `lock-${randomInt(2 ** 32)}.sock`;
        const path = folder.at(name);
        const reception: Reception = { says: TRYING, talk: undefined, sockets: new Set() };
        const server = await listen(path, reception, ` pid=${process.pid} version=${version}\n`);
        let other: string | undefined;
        try {
          other = await askOthers(folder.path, name);
          if (other === undefined && nodes === "no-nodes") other = await livingNode(folder.path);
        } catch (error) {
          await withdraw(server, path, reception);
          throw error;
        }
        if (other === undefined) {
          reception.says = HOLDING;
          return new FolderLock(server, path, folder, reception);
        }
        await withdraw(server, path, reception);
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
      folder.close();
      throw error;
    }
  }

  /**
   * Connects to the process that holds the folder's lock; what it sends begins with the line that says who it is.
   * Undefined when there is none.
   * @throws MillraceError DATA_DIR_UNUSABLE, also when the lock is somebody else's
   */
  static async connectToHolder(dataDir: string): Promise<Socket | undefined> {
    const folder = SocketFolder.open(dataDir);
    try {
      for (const name of readdirSync(folder.path)) {
        if (!SOCKET_NAME.test(name)) continue;
        const socket = await connected(folder.at(name));
        if (socket !== undefined) return socket;
      }
      return undefined;
    } finally {
      folder.close();
    }
  }

  /** From now on connections are handed to `talk` once the answer was written to them, and not ended. */
  receive(talk: (socket: Socket) => void): void {
    this.#reception.talk = talk;
  }

  async release(): Promise<void> {
    await withdraw(this.#server, this.#path, this.#reception);
    this.#folder.close();
  }
}

/** A server that listens before its name appears: a socket that refuses has nobody behind it, for good. */
function listen(path: string, reception: Reception, identity: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error): void => {
      reject(
        new MillraceError("DATA_DIR_UNUSABLE", `cannot lock the data folder: ${cause.message}`, { cause }),
      );
    };
    const server = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      const answer = reception.says + identity;
      if (reception.talk !== undefined) {
        reception.sockets.add(socket);
        socket.on("close", () => reception.sockets.delete(socket));
        socket.write(answer);
        reception.talk(socket);
        return;
      }
      // Whoever asked need not hang up for the lock to be released.
      socket.end(answer, () => socket.destroy());
    });
    server.once("error", fail);
    const hidden = `${path}.tmp`;
    server.listen(hidden, () => {
      server.unref();
      try {
        chmodSync(hidden, SOCKET_MODE);
        renameSync(hidden, path);
        resolve(server);
      } catch (error) {
        server.close();
        fail(error as Error);
      }
    });
  });
}

async function withdraw(server: Server, path: string, { sockets }: Reception): Promise<void> {
  remove(path);
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  for (const socket of sockets) socket.destroy();
  await closed;
}

/** Undefined when nobody is behind the socket any more. */
function connected(path: string): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.removeAllListeners("error");
      resolve(socket);
    });
    socket.once("error", (cause: NodeJS.ErrnoException) => {
      if (cause.code === "ECONNREFUSED" || cause.code === "ENOENT") resolve(undefined);
      else {
        const message = `cannot ask the holder of the data folder: ${cause.message}`;
        reject(new MillraceError("DATA_DIR_UNUSABLE", message, { cause }));
      }
    });
  });
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

/** What keeps the folder in use after its supervisor has gone. */
async function livingNode(folder: string): Promise<string | undefined> {
  for (const name of readdirSync(folder)) {
    const nodeId = NODE_SOCKET_NAME.exec(name)?.[1];
    if (nodeId === undefined || !(await isAnswered(join(folder, name)))) continue;
    return `node ${nodeId} of a cluster runs without a supervisor: start one with "millrace serve --nodes N"`;
  }
  return undefined;
}

/** Somebody listens on the socket, whether it answers or not. */
export function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", ({ code }: NodeJS.ErrnoException) =>
      resolve(code !== "ECONNREFUSED" && code !== "ENOENT"),
    );
  });
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
      // A broker that takes commands does not hang up after its answer.
      if (!answer.includes("\n")) return;
      socket.destroy();
      done(answer.trim());
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
