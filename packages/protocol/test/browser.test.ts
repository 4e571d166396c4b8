import { deepStrictEqual } from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import t from "tap";

/** Loads a fresh copy of a module as a browser would see it: without Buffer and process. */
async function withoutNode<T>(module: string): Promise<T> {
  const { Buffer: savedBuffer, process: savedProcess } = globalThis;
  const path = new URL(`../src/${module}.js?browser`, import.meta.url).href;
  // A module is evaluated in a task of its own: the globals must be away until then.
  Object.defineProperty(globalThis, "Buffer", { value: undefined, configurable: true, writable: true });
  Object.defineProperty(globalThis, "process", { value: undefined, configurable: true, writable: true });
  try {
    return (await import(path)) as T;
  } finally {
    Object.defineProperty(globalThis, "Buffer", { value: savedBuffer, configurable: true, writable: true });
    Object.defineProperty(globalThis, "process", { value: savedProcess, configurable: true, writable: true });
  }
}

type Utf8 = typeof import("../src/utf8.ts");
type Crc32 = typeof import("../src/crc32.ts");

t.test("strings are the same without Buffer", async () => {
  const browser = await withoutNode<Utf8>("utf8");
  const node: Utf8 = await import("../src/utf8.ts");
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 80 }),
    fc.string({ unit: "grapheme", maxLength: 80 }),
    fc
      .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 40 })
      .map((units) => String.fromCharCode(...units)),
  );
  fc.assert(
    fc.property(text, (input) => {
      const expected = new TextEncoder().encode(input);
      for (const { utf8ByteLength, writeUtf8, readUtf8 } of [browser, node]) {
        deepStrictEqual(utf8ByteLength(input), expected.length);
        const bytes = new Uint8Array(expected.length + 8);
        writeUtf8(bytes, 4, input, expected.length);
        deepStrictEqual(bytes.slice(4, -4), expected);
        deepStrictEqual(
          readUtf8(bytes, 4, bytes.length - 4),
          new TextDecoder("utf-8", { ignoreBOM: true }).decode(expected),
        );
      }
    }),
    { numRuns: 1000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      deepStrictEqual(browser.readUtf8(bytes, 0, bytes.length), node.readUtf8(bytes, 0, bytes.length));
    }),
    { numRuns: 1000 },
  );
});

t.test("checksums are the same without zlib", async (t) => {
  const browser = await withoutNode<Crc32>("crc32");
  const node: Crc32 = await import("../src/crc32.ts");
  for (const length of [0, 1, 7, 8, 100, 383, 384, 5000, 70_000]) {
    const bytes = new Uint8Array(length).map((_, i) => i * 7);
    t.equal(browser.crc32(bytes, 0, length), node.crc32(bytes, 0, length));
  }
});

t.test("no source imports a module of Node", async (t) => {
  const folder = new URL("../../src/", import.meta.url);
  const files = readdirSync(folder, { recursive: true }).map(String);
  for (const file of files.filter((name) => name.endsWith(".ts"))) {
    const source = readFileSync(new URL(file, folder), "utf8");
    t.notMatch(source, /from "node:|import\("node:|require\(/, file);
  }
});
