import { resolve } from "node:path";
import { InvalidArgumentError } from "commander";
import { byteSizeArgument, integerArgument } from "../arguments/numeric-argument.ts";
import { byteLimitText } from "../output/unit-text.ts";

/** How the values of a setting are written: the same as a flag, in the environment and in the file. */
export interface ValueKind<T> {
  /** As the reference names it. */
  readonly type: "integer" | "size" | "text" | "path" | "boolean" | "choice" | "list";
  /** Which values of that type, and what a number counts: `1 to 127 processes`. */
  readonly detail: string;
  /** A list takes any number of items, everything else one. */
  readonly list: boolean;
  /**
   * @param items what is written, one item unless it is a list
   * @param folder that relative paths begin at; undefined leaves them as they are
   * @throws InvalidArgumentError with one sentence that begins with "It must"
   */
  parse(items: readonly string[], folder: string | undefined): T;
  /** As `parse` reads it. */
  format(value: T): string;
}

/** Longer than any path or host; an origin, say, is no place for a novel. */
const TEXT_BYTES_MAX = 4_096;

export function integerKind(minimum: number, maximum: number, unit: string = ""): ValueKind<number> {
  return kindOf(
    "integer",
    integerArgument(minimum, maximum),
    String,
    `${minimum} to ${maximum} ${unit}`.trim(),
  );
}

/** Bytes, or `none`. */
export function sizeOrNoneKind(): ValueKind<number | "none"> {
  return kindOf("size", sizeOrNone, (value) => (value === "none" ? value : byteLimitText(value)), "bytes");
}

export function textKind(): ValueKind<string> {
  return kindOf("text", plainText, (value) => value);
}

/** In a file, relative to that file's folder: it means the same wherever the command is started. */
export function pathKind(): ValueKind<string> {
  return {
    type: "path",
    detail: "",
    list: false,
    parse: ([item = ""], folder) =>
      folder === undefined ? plainText(item) : resolve(folder, plainText(item)),
    format: (value) => value,
  };
}

export function booleanKind(): ValueKind<boolean> {
  const parse = (text: string): boolean => {
    if (text === "true" || text === "false") return text === "true";
    throw new InvalidArgumentError('It must be "true" or "false".');
  };
  return kindOf("boolean", parse, String);
}

export function choiceKind<T extends string>(choices: readonly T[]): ValueKind<T> {
  const parse = (text: string): T => {
    const choice = choices.find((one) => one === text);
    if (choice !== undefined) return choice;
    throw new InvalidArgumentError(`It must be ${choices.join(" or ")}.`);
  };
  return kindOf("choice", parse, (value) => value, choices.join(" or "));
}

export function listKind(): ValueKind<readonly string[]> {
  return {
    type: "list",
    detail: "",
    list: true,
    parse: (items) => {
      if (items.every(isPlainText)) return items;
      throw new InvalidArgumentError("It must be a list of texts, or one.");
    },
    format: (items) => items.join(" "),
  };
}

function kindOf<T>(
  type: ValueKind<T>["type"],
  parseOne: (text: string) => T,
  format: (value: T) => string,
  detail: string = "",
): ValueKind<T> {
  return { type, detail, list: false, parse: ([item = ""]) => parseOne(item), format };
}

function plainText(text: string): string {
  if (isPlainText(text)) return text;
  throw new InvalidArgumentError(
    `It must be a text of 1 to ${TEXT_BYTES_MAX} bytes without control characters.`,
  );
}

function isPlainText(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text !== "" && Buffer.byteLength(text) <= TEXT_BYTES_MAX && !/[\x00-\x1f\x7f]/.test(text);
}

function sizeOrNone(text: string): number | "none" {
  if (text === "none") return text;
  if (text !== "unlimited") {
    try {
      return byteSizeArgument(text) as number;
    } catch {
      // Told below, with the word that is taken here.
    }
  }
  throw new InvalidArgumentError('It must be a size such as 200GiB, or "none".');
}
