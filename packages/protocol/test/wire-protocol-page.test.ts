import { existsSync, readFileSync } from "node:fs";
import t from "tap";
import {
  BatchReader,
  decodeFrame,
  ERROR_CODES,
  type ErrorName,
  FRAME_TYPE,
  type Frame,
  FrameReader,
  type FrameTypeName,
  LIMITS,
  RECORD_FLAG,
  SETTLE_ACTION,
} from "../src/index.ts";
import { bytesOf, type FrameVector, hexOf, readVectors, toJson } from "./vectors.ts";

const PAGE = new URL("../../../../docs/reference/wire-protocol.md", import.meta.url);
if (!existsSync(PAGE)) t.bailout("docs/reference/wire-protocol.md is missing");
const page = readFileSync(PAGE, "utf8");
const { frames } = readVectors<{ frames: FrameVector[] }>("frames");

/** The cells of each row of the first table after `heading`, without its two lines of header. */
function tableAfter(heading: string, text: string = page): string[][] {
  const from = text.indexOf(`${heading}\n`);
  if (from < 0) throw new Error(`the page has no ${heading}`);
  const lines = text.slice(from).split("\n");
  const start = lines.findIndex((line) => line.startsWith("|"));
  const rows: string[][] = [];
  for (const line of lines.slice(start + 2)) {
    if (!line.startsWith("|")) break;
    rows.push(
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  }
  return rows;
}

/** The part of the page about one frame. */
function section(name: FrameTypeName): string {
  const heading = `### ${FRAME_TYPE[name]} ${name}\n`;
  const from = page.indexOf(heading);
  if (from < 0) throw new Error(`the page has no section ${heading}`);
  const next = page.indexOf("\n### ", from + 1);
  return page.slice(from, next < 0 ? undefined : next + 1);
}

/** The bytes of a section's example: hexadecimal pairs up to the first two spaces of each line. */
function exampleOf(text: string): Uint8Array {
  const block = /```text\n(.*?)\n```/s.exec(text)?.[1];
  if (block === undefined) throw new Error("the section has no example");
  return bytesOf(
    block
      .split("\n")
      .map((line) => line.split("  ")[0])
      .join(""),
  );
}

const NAMES = Object.keys(FRAME_TYPE) as FrameTypeName[];
/** Elements of which the grammar shows the rows alone. */
const ROW_LISTS: ReadonlySet<string> = new Set([
  "ranges",
  "streams",
  "entries",
  "rows",
  "positions",
  "outcomes",
  "records",
]);

t.test("the error table is the code's", async (t) => {
  const rows = tableAfter("## Errors").map((row) => row.slice(0, 3));
  const expected = (Object.keys(ERROR_CODES) as ErrorName[]).map((name) => {
    const { code, retriable } = ERROR_CODES[name];
    return [String(code), name, retriable ? "yes" : "no"];
  });
  t.strictSame(rows, expected);
  for (const row of tableAfter("## Errors")) t.ok((row[3] ?? "").length > 5, `${row[1]} has a meaning`);
});

t.test("the limits are the code's, with their units", async (t) => {
  const rows = tableAfter("## Limits").map((row) => row.slice(0, 2));
  const expected = Object.entries(LIMITS).map(([name, value]) => {
    const unit = /Bytes(Max)?$/.test(name) ? " bytes" : /Ms(Min|Max)?$/.test(name) ? " ms" : "";
    return [name, `${value}${unit}`];
  });
  t.strictSame(rows, expected);
});

t.test("the flags are the code's", async (t) => {
  const rows = tableAfter("### Record flags");
  t.strictSame(
    rows,
    Object.entries(RECORD_FLAG).map(([name, value]) => [name, String(value)]),
  );
});

t.test("the actions of SETTLE are the code's", async (t) => {
  t.strictSame(
    tableAfter("### Leases").map((row) => row.slice(0, 2)),
    Object.entries(SETTLE_ACTION).map(([name, value]) => [name, String(value)]),
  );
});

t.test("every frame has a section, in the order of the types, and no other has", async (t) => {
  const headings = [...page.matchAll(/^### (\d+) (\w+)$/gm)].map(([, type, name]) => [Number(type), name]);
  t.strictSame(
    headings,
    NAMES.map((name) => [FRAME_TYPE[name], name]),
  );
});

for (const name of NAMES) {
  t.test(`${name}: the example is the first vector, and decodes to it`, async (t) => {
    const bytes = exampleOf(section(name));
    const vector = frames.find((candidate) => candidate.frame === name);
    t.equal(hexOf(bytes), vector?.hex);
    const frame = decodeFrame(new FrameReader(), bytes, 0, bytes.length);
    t.equal(frame.name, name);
    t.strictSame(toJson(frame.value), vector?.value);
  });

  t.test(`${name}: the table has every element of the grammar, each with a type`, async (t) => {
    const text = section(name);
    const rows = tableAfter(text.split("\n")[0] as string, text);
    const elements = rows.map((row) => row[0] as string);
    const members = new Set<string>();
    for (const vector of frames.filter((candidate) => candidate.frame === name)) {
      for (const member of Object.keys(vector.value as object)) members.add(member);
    }
    t.strictSame(new Set(elements.filter((element) => !/[.[]/.test(element))), members);
    for (const [element, type] of rows) t.ok((type ?? "").length > 0, `${element} has a type`);

    const grammar = /^ {4}\[(\d+)(.*)\]$/m.exec(text);
    t.equal(Number(grammar?.[1]), FRAME_TYPE[name]);
    for (const element of elements) {
      const word = (element.split(".").at(-1) ?? "").replace("[]", "");
      if (/^(topic|subscription)\./.test(element) || ROW_LISTS.has(element)) continue;
      const singular = word.replace(/s$/, "");
      t.ok(
        new RegExp(`\\b(${word}|${singular})\\b`).test(grammar?.[2] ?? ""),
        `${element} is in the grammar`,
      );
    }
  });
}

t.test("examples with records hold the record that they show", async (t) => {
  for (const name of ["PUBLISH", "DELIVER", "LEASED"] as const) {
    const bytes = exampleOf(section(name));
    const frame = decodeFrame(new FrameReader(), bytes, 0, bytes.length);
    const holder = batchHolderOf(frame);
    if (holder === undefined) throw new Error("no batch");
    const reader = new BatchReader();
    reader.reset(holder.batch, 0, holder.batch.length);
    t.ok(reader.verifyChecksum(holder.checksum));
    t.equal(reader.recordAt(0).value, "hello");
  }
});

function batchHolderOf(frame: Frame): { batch: Uint8Array; checksum?: number | undefined } | undefined {
  if (frame.name === "PUBLISH") return frame.value;
  if (frame.name === "DELIVER") return frame.value.entries[0];
  return frame.name === "LEASED" ? frame.value.rows[0] : undefined;
}
