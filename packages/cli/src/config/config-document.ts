import { createRequire } from "node:module";
import type * as Yaml from "yaml";
import type { ParsedNode, YAMLMap } from "yaml";
import { positionTooDeep } from "./nesting.ts";

/** A key of the file with what is written behind it. */
export interface DocumentEntry {
  readonly key: string;
  /** As they are written, without quotes; undefined for anything that is neither a value nor a list of values. */
  readonly items: readonly string[] | undefined;
  readonly isList: boolean;
  /** Keys within the key. */
  readonly isNested: boolean;
  /** What it is, should it be refused: `"abc"`, `a list`. */
  readonly found: string;
  /** Where the same key stood before. */
  readonly firstAt: string | undefined;
  /** `file:line:column` of the key, and of the value. */
  readonly at: string;
  readonly valueAt: string;
}

/** What a configuration file says. */
export interface ConfigDocument {
  readonly entries: readonly DocumentEntry[];
  /** Why it is no such file, with the place; then there are no entries. */
  readonly problem: string | undefined;
}

const require = createRequire(import.meta.url);
let library: typeof Yaml | undefined;

/** Takes longer to load than all the rest of the command, most of whose runs have no file. */
function yaml(): typeof Yaml {
  library ??= require("yaml") as typeof Yaml;
  return library;
}

/** A list within the keys of the file is all that is wanted. */
const DEPTH_MAX = 16;

/** What is shown of a value that is refused. */
const FOUND_LENGTH_MAX = 40;

/** The library's own messages quote the file, which may be another one than was meant, such as a private key. */
const SYNTAX: Readonly<Record<string, string>> = {
  BAD_INDENT: "lines are not indented alike",
  TAB_AS_INDENT: "a tab indents the line: YAML wants spaces",
  MISSING_CHAR: "a character is missing, such as the space behind a colon or the end of a quotation",
  UNEXPECTED_TOKEN: "something is here that cannot follow on what is before it",
  MULTILINE_IMPLICIT_KEY: "a key has to stand on one line, with a colon behind it",
  BLOCK_AS_IMPLICIT_KEY: "a line holds more than one key",
  MULTIPLE_DOCS: 'a second document begins, with "---"',
  RESOURCE_EXHAUSTION: "it is nested too deeply",
  BAD_SCALAR_START: "a value with such a first character has to be quoted",
  BAD_DQ_ESCAPE: "a backslash in double quotes has no meaning here: write it in single quotes",
  TAG_RESOLVE_FAILED: "tags (!name) are not for this file",
  BAD_DIRECTIVE: "directives (%NAME) are not for this file",
  NON_STRING_KEY: "a key has to be a plain name",
};

/**
 * Reads a configuration: a flat YAML mapping whose values are plain, or lists of plain ones. They stay text, to be read
 * as the text of a flag is: YAML would make a number of 1e3 and a date of 2026-11-22. Aliases are refused, not followed.
 * @param name the file in messages
 */
export function parseConfigDocument(text: string, name: string): ConfigDocument {
  const { Composer, isMap, isScalar, LineCounter, Parser } = yaml();
  const lines = new LineCounter();
  const place = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${name}:${line}:${col}`;
  };
  const refused = (offset: number, code: string): ConfigDocument => {
    const why = SYNTAX[code] ?? code.toLowerCase().replaceAll("_", " ");
    return { entries: [], problem: `${place(offset)}: this is not YAML as it is read here: ${why}` };
  };
  const tokens = [...new Parser(lines.addNewLine).parse(text)];
  const tooDeep = positionTooDeep(tokens, DEPTH_MAX);
  if (tooDeep !== undefined) return refused(tooDeep, "RESOURCE_EXHAUSTION");
  const composer = new Composer({
    schema: "failsafe",
    stringKeys: true,
    // Ours has a message, and does not compare each key with all others.
    uniqueKeys: false,
    prettyErrors: false,
  });
  const [document, second] = composer.compose(tokens, true, text.length);
  // There is always one, of an empty text too.
  if (document === undefined) return { entries: [], problem: undefined };
  const [wrong] = [...document.errors, ...document.warnings];
  if (wrong !== undefined) return refused(wrong.pos[0], wrong.code);
  if (second !== undefined) return refused(second.range[0], "MULTIPLE_DOCS");
  const { contents } = document;
  if (isMap(contents)) return { entries: readEntries(contents, place), problem: undefined };
  // Nothing but comments is a configuration, too: that of the defaults.
  if (contents === null || (isScalar(contents) && contents.source === "")) {
    return { entries: [], problem: undefined };
  }
  const found = `${place(contents.range[0])}: found ${kindOfNode(contents)}`;
  return { entries: [], problem: `${found}, expected lines such as "port: 7070"` };
}

function readEntries(map: YAMLMap.Parsed, place: (offset: number) => string): DocumentEntry[] {
  const { isMap, isScalar, isSeq } = yaml();
  const first = new Map<string, string>();
  return map.items.map(({ key: node, value }) => {
    const key = isScalar(node) ? String(node.value) : "";
    const at = place(node.range[0]);
    const firstAt = first.get(key);
    if (firstAt === undefined) first.set(key, at);
    return {
      key,
      items: itemsOf(value),
      isList: isSeq(value),
      isNested: isMap(value),
      found: foundText(value),
      firstAt,
      at,
      valueAt: value === null ? at : place(value.range[0]),
    };
  });
}

function itemsOf(node: ParsedNode | null): readonly string[] | undefined {
  const { isScalar, isSeq } = yaml();
  if (isScalar(node)) return isEmpty(node) ? undefined : [String(node.value)];
  if (!isSeq(node)) return undefined;
  const items = node.items.map((item) => (isScalar(item) && !isEmpty(item) ? String(item.value) : undefined));
  return items.every((item) => item !== undefined) ? items : undefined;
}

/** Nothing at all behind the key, as opposed to `""`. */
function isEmpty(node: { readonly source?: string | undefined; readonly type?: unknown }): boolean {
  return node.type === "PLAIN" && (node.source ?? "") === "";
}

function foundText(node: ParsedNode | null): string {
  const { isScalar } = yaml();
  return isScalar(node) && !isEmpty(node) ? shown(String(node.value)) : kindOfNode(node);
}

function kindOfNode(node: ParsedNode | null): string {
  const { isAlias, isMap, isSeq } = yaml();
  if (isMap(node)) return "keys within a key";
  if (isSeq(node)) return "a list";
  if (isAlias(node)) return "an alias (*name), which is not for this file";
  return node === null || isEmpty(node) ? "nothing" : "a text";
}

/** In quotes, without what a terminal would obey, and not without end. */
export function shown(text: string): string {
  return JSON.stringify(text.length > FOUND_LENGTH_MAX ? `${text.slice(0, FOUND_LENGTH_MAX)}…` : text);
}
