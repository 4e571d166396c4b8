import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { CommandError } from "../command-error.ts";

/** A configuration has some dozens of lines; what is larger is another file. */
export const CONFIG_BYTES_MAX = 65_536;

const WHY_NOT: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file",
  EACCES: "this user may not read it",
  EPERM: "this user may not read it",
  EISDIR: "it is a folder",
  ELOOP: "its symbolic links lead in a circle",
  ENAMETOOLONG: "the name is too long",
};

/**
 * The text of a configuration file.
 * @throws CommandError CONFIG_UNREADABLE
 */
export function readConfigText(file: string): string {
  const bytes = readBytes(file);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw unreadable(file, "it is no text in UTF-8", cause);
  }
}

function readBytes(file: string): Uint8Array {
  let fd: number | undefined;
  try {
    // Without waiting: opening a pipe that nobody writes to would never end.
    fd = openSync(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const stat = fstatSync(fd);
    if (stat.isDirectory()) throw unreadable(file, "it is a folder");
    if (!stat.isFile()) throw unreadable(file, "it is no regular file");
    const bytes = new Uint8Array(CONFIG_BYTES_MAX + 1);
    const length = readAll(fd, bytes);
    if (length > CONFIG_BYTES_MAX) {
      throw unreadable(file, `it has more than ${CONFIG_BYTES_MAX} bytes: is it another file?`);
    }
    return bytes.subarray(0, length);
  } catch (error) {
    if (error instanceof CommandError) throw error;
    const { code = "", message } = error as NodeJS.ErrnoException;
    throw unreadable(file, WHY_NOT[code] ?? message, error);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** Bytes read; as many as there is room for. */
function readAll(fd: number, bytes: Uint8Array): number {
  let length = 0;
  while (length < bytes.length) {
    const read = readSync(fd, bytes, length, bytes.length - length, null);
    if (read === 0) break;
    length += read;
  }
  return length;
}

function unreadable(file: string, why: string, cause?: unknown): CommandError {
  const options = cause === undefined ? {} : { cause };
  return new CommandError("CONFIG_UNREADABLE", `cannot read the configuration ${file}: ${why}`, options);
}
