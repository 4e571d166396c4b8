import { readFileSync } from "node:fs";

/**
 * Turns a compiled ring into one whose methods stop before each access to shared memory, so that a test can decide in which
 * order the accesses of several threads happen. Methods become generators that yield before each access and delegate to each
 * other; nothing else changes, so it is the code itself that is explored, not a retelling.
 *
 * It reads the small part of JavaScript that these classes are written in, and refuses what it does not know.
 */

/** What the explored code touches shared memory through; the explorer keeps account of what each thread has read. */
export interface SharedAccess {
  load(words: Int32Array, index: number): number;
  store(words: Int32Array, index: number, value: number): number;
  compareExchange(words: Int32Array, index: number, expected: number, value: number): number;
  /** A plain read. */
  plain(words: Int32Array, index: number): number;
}

/** One deliberate mistake: `find` must stand in the source exactly once. */
export interface Mutation {
  readonly name: string;
  readonly find: string;
  readonly replace: string;
}

/** Zeroing is many plain stores, and others may look in between. */
const STEPWISE_ZERO = `
function* zeroBytes(bytes, words, start, end) {
  for (let word = start >> 2; word < end >> 2; word += 2) {
    yield;
    words[word] = 0;
    words[word + 1] = 0;
  }
}
`;

/** Functions and methods that become generators, as they are called. */
const STEPPING =
  /(?<![.\w])(?:this\.(?:endClaim|release|fillGap|isUnwritten|tryClaim|commit|refuse|size)|zeroBytes)\(/g;
const METHOD = /^ {4}(?!static |constructor|for |if |while |switch )(\w+)\(.*\) \{$/;

/**
 * The module at `compiled`, made stepwise.
 *
 * @param access stands in for Atomics in it. @throws Error where the source is not as expected.
 */
export async function importStepwise(
  compiled: URL,
  access: SharedAccess,
  mutation?: Mutation,
): Promise<Record<string, unknown>> {
  let source = readFileSync(compiled, "utf8");
  if (mutation !== undefined) {
    const parts = source.split(mutation.find);
    if (parts.length !== 2) {
      throw new Error(
        `${mutation.name}: found ${parts.length - 1} times in ${compiled.pathname}: ${mutation.find}`,
      );
    }
    source = parts.join(mutation.replace);
  }
  const registry = globalThis as { millraceSharedAccess?: SharedAccess };
  registry.millraceSharedAccess = access;
  const text = `const Atomics = globalThis.millraceSharedAccess;\n${stepwise(source, compiled)}\n${STEPWISE_ZERO}`;
  return (await import(`data:text/javascript;base64,${Buffer.from(text).toString("base64")}`)) as Record<
    string,
    unknown
  >;
}

function stepwise(source: string, compiled: URL): string {
  const start = source.indexOf("export class ");
  if (start < 0) throw new Error(`no class in ${compiled.pathname}`);
  const imports = source
    .slice(0, start)
    .replace(/^import \{ zeroBytes \}.*$/m, "")
    .replace(
      /from "(\.[^"]*)"/g,
      (_, path: string) => `from ${JSON.stringify(new URL(path, compiled).href)}`,
    );
  let generators = 0;
  let inConstructor = false;
  const lines = source
    .slice(start)
    .replace(/^\/\/# sourceMappingURL.*$/m, "")
    .split("\n");
  const stepped = lines.map((line) => {
    if (/^\s*(\/\/|\/\*|\*)/.test(line)) return line;
    if (/^ {4}(static \w+|constructor)\(/.test(line)) inConstructor = true;
    if (line === "    }") inConstructor = false;
    if (inConstructor) return line;
    if (METHOD.test(line)) {
      generators++;
      return line.replace(METHOD, (text) => `    *${text.trimStart()}`);
    }
    return steppedLine(line);
  });
  if (generators < 12) throw new Error(`only ${generators} methods in ${compiled.pathname}`);
  return imports + stepped.join("\n");
}

function steppedLine(line: string): string {
  let text = wrapCalls(line, /(?<![.\w])Atomics\.\w+\(/g, "yield, ");
  text = wrapCalls(text, STEPPING, "yield* ");
  text = wrapCalls(text, /(?<![.\w])handler\(/g, "yield, ");
  // A plain store is a step before its line; a plain read becomes a call that keeps account.
  const store = /^(\s*)((?:this\.)?words\[.*\] = .*;)$/.exec(text);
  if (store !== null) return `${store[1]}{ yield; ${store[2]} }`;
  return wrapReads(text);
}

/** Puts "(prefix" and ")" around each call that `opening` finds. */
function wrapCalls(line: string, opening: RegExp, prefix: string): string {
  let text = line;
  for (const match of [...line.matchAll(opening)].reverse()) {
    const end = closing(text, match.index + match[0].length - 1, "(", ")");
    text = `${text.slice(0, match.index)}(${prefix}${text.slice(match.index, end + 1)})${text.slice(end + 1)}`;
  }
  return text;
}

function wrapReads(line: string): string {
  let text = line;
  for (const match of [...line.matchAll(/(?:(?:this\.)?words|(?<![.\w])control)\[/g)].reverse()) {
    const open = match.index + match[0].length - 1;
    const end = closing(text, open, "[", "]");
    const array = text.slice(match.index, open);
    text = `${text.slice(0, match.index)}(yield, Atomics.plain(${array}, ${text.slice(open + 1, end)}))${text.slice(end + 1)}`;
  }
  return text;
}

function closing(text: string, open: number, left: string, right: string): number {
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === left) depth++;
    else if (text[i] === right && --depth === 0) return i;
  }
  throw new Error(`a call must end on its line: ${text}`);
}
