import t from "tap";
import { ERROR_CODES, type ErrorName, errorNameOf, MillraceError } from "../src/index.ts";

t.test("numbers and names are one to one", async (t) => {
  const names = Object.keys(ERROR_CODES) as ErrorName[];
  t.equal(new Set(names.map((name) => ERROR_CODES[name].code)).size, names.length);
  for (const name of names) t.equal(errorNameOf(ERROR_CODES[name].code), name);
  t.equal(errorNameOf(0), undefined);
});

t.test("an error carries its code, number, cause and details", async (t) => {
  const cause = new Error("inner");
  const error = new MillraceError("DISK_FULL", "no space", { details: { shard: 1 }, cause });
  t.ok(error instanceof Error);
  t.match(error, {
    name: "MillraceError",
    code: "DISK_FULL",
    number: 39,
    retriable: true,
    message: "no space",
  });
  t.same(error.details, { shard: 1 });
  t.equal(error.cause, cause);
  t.same(new MillraceError("CLOSED", "closed").details, {});
  t.notOk("cause" in new MillraceError("CLOSED", "closed"));
});

t.test("an error of a newer peer keeps its number, name and whether to try again", async (t) => {
  const wire = { message: "m", details: {} };
  const unknown = MillraceError.fromWire({ code: 77, name: "TOO_NEW", retriable: true, ...wire });
  t.match(unknown, { code: "TOO_NEW", number: 77, retriable: true });
  const renamed = MillraceError.fromWire({ code: 20, name: "OTHER", retriable: false, ...wire });
  t.match(renamed, { code: "UNKNOWN_TOPIC", number: 20 });
  const stricter = MillraceError.fromWire({ code: 38, name: "THROTTLED", retriable: false, ...wire });
  t.equal(stricter.retriable, false, "the peer knows best");
});
