import { closeSync, constants, openSync } from "node:fs";
import { join } from "node:path";
import { MillraceError } from "@millrace/protocol";

/** sun_path holds 108 bytes with its terminator on Linux, 104 elsewhere. */
const SOCKET_PATH_BYTES_MAX = process.platform === "linux" ? 107 : 103;

/** The longest name that a socket in a data folder may have. */
const SOCKET_NAME_BYTES_MAX = "lock-4294967295.sock.tmp".length;

/** A data folder, held open: its sockets have a path short enough for a socket address, whatever the folder's own. */
export class SocketFolder {
  readonly #fd: number;
  readonly #path: string;

  private constructor(fd: number, path: string) {
    this.#fd = fd;
    this.#path = path;
  }

  /** @throws MillraceError DATA_DIR_UNUSABLE */
  static open(dataDir: string): SocketFolder {
    let fd: number;
    try {
      fd = openSync(dataDir, constants.O_RDONLY | (constants.O_DIRECTORY ?? 0));
    } catch (cause) {
      throw new MillraceError(
        "DATA_DIR_UNUSABLE",
        `cannot open the data folder ${dataDir}: ${(cause as Error).message}`,
        {
          cause,
        },
      );
    }
    try {
      return new SocketFolder(fd, shortPath(dataDir, fd));
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** The folder by its short path; good as long as it is held open. */
  get path(): string {
    return this.#path;
  }

  /** The address of a socket in it. */
  at(name: string): string {
    return join(this.#path, name);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** Through the open folder where the plain path is too long. */
function shortPath(dataDir: string, fd: number): string {
  const bytes = Buffer.byteLength(dataDir) + 1 + SOCKET_NAME_BYTES_MAX;
  if (bytes <= SOCKET_PATH_BYTES_MAX) return dataDir;
  if (process.platform === "linux") return `/proc/self/fd/${fd}`;
  throw new MillraceError(
    "DATA_DIR_UNUSABLE",
    `the data folder's path is too long for a socket: bytes=${bytes} max=${SOCKET_PATH_BYTES_MAX}`,
  );
}
