import { readFileSync } from "node:fs";
import { ERROR_CODES, type ErrorName } from "@millrace/protocol";
import t from "tap";
import { httpStatusLine, httpStatusOf } from "../../src/http-reply.ts";
import { GATEWAY_LIMITS } from "../../src/limits.ts";
import { HttpCall } from "../support/http-caller.ts";
import { InMemoryGateway } from "../support/in-memory.ts";

const PAGE = readFileSync(new URL("../../../../../docs/reference/http.md", import.meta.url), "utf8");

/** Cells of the table whose header row starts with these. */
function table(...header: readonly string[]): string[][] {
  const start = PAGE.indexOf(`| ${header.join(" | ")} |\n`);
  const rows = PAGE.slice(start).split("\n\n", 1)[0]?.split("\n") ?? [];
  return rows.slice(2).map((row) =>
    row
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

t.test("docs/reference/http.md has every limit, with its value", async (t) => {
  const documented = table("limit", "value", "at the limit").map(([name, value]) => [
    name?.replaceAll("`", ""),
    Number(value),
  ]);
  // How often something is looked at, and how large batches get, is nobody's concern.
  const internal = new Set(["httpCheckMs", "httpBatchBytes"]);
  const limits = Object.entries(GATEWAY_LIMITS).filter(
    ([name]) => name.startsWith("http") && !internal.has(name),
  );
  t.same(new Map(documented as [string, number][]), new Map(limits));
});

t.test("its codes have the statuses that it says", async (t) => {
  const rows = table("status", "codes");
  t.ok(rows.length > 9);
  const documented = new Set<string>();
  for (const [status, text = ""] of rows) {
    t.notMatch(httpStatusLine(Number(status)), /Unknown/);
    for (const [code] of text.matchAll(/\b[A-Z]+_[A-Z_]+\b|\bTHROTTLED\b|\bINTERNAL\b/g)) {
      documented.add(code);
      t.ok(code in ERROR_CODES, code);
      t.equal(httpStatusOf(code as ErrorName), Number(status), code);
    }
  }
  for (const code of ["INVALID_REQUEST", "REQUEST_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE", "REQUEST_TIMEOUT"]) {
    t.ok(documented.has(code), code);
  }
});

t.test("its routes are the gateway's", async (t) => {
  const bench = new InMemoryGateway();
  for (const [route = ""] of table("route", "does")) {
    const [method = "", path = ""] = route.replaceAll("`", "").replace("{topic}", "t").split(" ");
    const headers = { "content-type": "application/json" };
    const call = new HttpCall(bench, path, { method, headers }).send("{}", true);
    await bench.settle();
    t.match(call.reply ?? { status: 0 }, { status: method === "GET" ? 200 : 400 }, route);
  }
});
