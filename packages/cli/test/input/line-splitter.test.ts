import t from "tap";
import { LineSplitter } from "../../src/input/line-splitter.ts";

function split(chunks: readonly Uint8Array[], lineBytesMax = 1024): string[] {
  const splitter = new LineSplitter(lineBytesMax);
  const lines: string[] = [];
  for (const chunk of chunks) for (const line of splitter.push(chunk)) lines.push(textOf(line));
  for (const line of splitter.end()) lines.push(textOf(line));
  t.equal(splitter.lines, lines.length, "it counts its lines");
  return lines;
}

function textOf(line: Uint8Array): string {
  return Buffer.from(line).toString("latin1");
}

/** The model: the whole input at once. */
function model(input: string): string[] {
  const lines = input.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

t.test("every split of an input gives the same lines", async (t) => {
  const input = "one\n\ntwo\r\n\u00ff\u0000bytes\n\n\nlast without end";
  for (const text of [input, `${input}\n`, "\n", "", "x"]) {
    const bytes = Buffer.from(text, "latin1");
    t.same(split(Array.from(bytes, (byte) => Uint8Array.of(byte))), model(text), "byte by byte");
    for (let at = 0; at <= bytes.length; at++) {
      t.same(split([bytes.subarray(0, at), bytes.subarray(at)]), model(text), `split at ${at}`);
    }
  }
});

t.test("a line beyond the limit is refused, wherever the input is cut", async (t) => {
  const bytes = Buffer.from(`short\n${"x".repeat(11)}\n`);
  for (let at = 0; at <= bytes.length; at++) {
    const chunks = [bytes.subarray(0, at), bytes.subarray(at)];
    t.throws(() => split(chunks, 10), { message: "line 2 is longer than 10 bytes" }, `split at ${at}`);
  }
  t.same(split([Buffer.from("1234567890\n1234567890")], 10), ["1234567890", "1234567890"]);
});
