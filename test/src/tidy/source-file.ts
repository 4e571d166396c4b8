import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository, seen from test/dist/src/tidy. */
export const REPOSITORY: string = fileURLToPath(new URL("../../../../", import.meta.url));

/** A file of the repository; rules look at nothing else, so that they can be tried on made-up ones. */
export interface SourceFile {
  /** From the repository's root, with slashes. */
  readonly path: string;
  readonly text: string;
}

/** What a rule found wrong. */
export interface Finding {
  readonly path: string;
  readonly message: string;
}

const SKIPPED_FOLDERS: ReadonlySet<string> = new Set([
  "node_modules",
  "dist",
  ".git",
  ".tap",
  "millrace-data",
]);

/** All files below `folder` (from the root) whose name ends in one of `endings`, sorted. */
export function readFiles(folder: string, endings: readonly string[]): SourceFile[] {
  const root = join(REPOSITORY, folder);
  if (!existsSync(root)) return [];
  return readdirSync(root, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = relative(REPOSITORY, join(root, entry.name)).replaceAll("\\", "/");
      if (entry.isDirectory()) return SKIPPED_FOLDERS.has(entry.name) ? [] : readFiles(path, endings);
      if (!endings.some((ending) => entry.name.endsWith(ending))) return [];
      return [{ path, text: readFileSync(join(REPOSITORY, path), "utf8") }];
    });
}

const REGEX_MAY_FOLLOW: ReadonlySet<string> = new Set("(,=:[!&|?{};>+-*%~^".split(""));

/**
 * The code alone: comments become blanks, the content of strings, templates and regular expressions too, so that a
 * banned name in a sentence is not found. Line breaks stay.
 */
export function codeOf(text: string): string {
  let code = "";
  let at = 0;
  /** The last character that was neither blank nor comment: tells a division from a regular expression. */
  let before = "(";
  const skip = (end: number): void => {
    code += text.slice(at, end).replace(/[^\n]/g, " ");
    at = end;
  };
  while (at < text.length) {
    const character = text[at]!;
    if (text.startsWith("//", at)) skip(endOf(text, at, "\n"));
    else if (text.startsWith("/*", at)) skip(endOf(text, at + 2, "*/") + 2);
    else if (character === '"' || character === "'" || character === "`") {
      skip(endOfQuoted(text, at + 1, character));
      before = character;
    } else if (character === "/" && (REGEX_MAY_FOLLOW.has(before) || /\breturn\s*$/.test(code.slice(-12)))) {
      skip(endOfQuoted(text, at + 1, "/"));
      before = "/";
    } else {
      code += character;
      if (!/\s/.test(character)) before = character;
      at++;
    }
  }
  return code;
}

function endOf(text: string, from: number, end: string): number {
  const found = text.indexOf(end, from);
  return found < 0 ? text.length : found;
}

/** One past the closing `quote`. A "/" inside the brackets of a regular expression does not close it. */
function endOfQuoted(text: string, from: number, quote: string): number {
  let inClass = false;
  for (let at = from; at < text.length; at++) {
    const character = text[at];
    if (character === "\\") at++;
    else if (quote === "/" && character === "[") inClass = true;
    else if (quote === "/" && character === "]") inClass = false;
    else if (character === quote && !inClass) return at + 1;
    else if (character === "\n" && quote !== "`") return at;
  }
  return text.length;
}
