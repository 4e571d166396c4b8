import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ERROR_CODES, FRAME_TYPE } from "@millrace/protocol";
import t, { type Test } from "tap";
import {
  deadFiles,
  dependencyDirection,
  IMPORT_DIRECTION,
  importDirection,
  importsOf,
} from "./tidy/imports.ts";
import {
  bannedNames,
  fileLengths,
  fileNames,
  markdownHeadings,
  markdownLinks,
  unmentioned,
} from "./tidy/rules.ts";
import { codeOf, type Finding, REPOSITORY, readFiles, type SourceFile } from "./tidy/source-file.ts";

const FILE_LINES_MAX = 500;
const WIRE_PAGE = "docs/reference/wire-protocol.md";

const AREAS = ["packages", "bench", "test", "examples", "scripts"];
const code = AREAS.flatMap((area) => readFiles(area, [".ts", ".mjs"]));
const pages = [...readFiles("", [".md"])];

function none(t: Test, findings: readonly Finding[], name: string): void {
  t.same(
    findings.map(({ path, message }) => `${path}: ${message}`),
    [],
    name,
  );
}

t.test("the repository", async (t) => {
  t.ok(code.length > 50 && pages.length > 0, "there is something to look at");
  none(t, importDirection(code), "imports follow the table of packages");
  const manifests = Object.keys(IMPORT_DIRECTION).map((name) => `packages/${name}/package.json`);
  none(t, dependencyDirection(manifests.map(read)), "dependencies follow it too");
  none(t, bannedNames(code), "banned names");
  none(t, fileNames(code), "file names");
  none(t, fileLengths(code, FILE_LINES_MAX), "file lengths");
  none(t, markdownHeadings(pages), "one first-level heading a page");
  none(
    t,
    markdownLinks(pages, (from, target) => existsSync(join(REPOSITORY, dirname(from), target))),
    "links",
  );
  for (const name of Object.keys(IMPORT_DIRECTION)) {
    const folder = `packages/${name}/src`;
    const entries = entriesOf(`packages/${name}`);
    none(
      t,
      deadFiles(
        code.filter((file) => file.path.startsWith(`${folder}/`)),
        entries,
      ),
      `dead files of ${name}`,
    );
  }
  const nativeImporters = code.filter((file) => importsOf(file).includes("uWebSockets.js"));
  t.ok(
    nativeImporters.filter((file) => file.path.startsWith("packages/")).length <= 1,
    "one file alone knows uWebSockets.js",
  );
});

t.test("the wire protocol", async (t) => {
  const page = read(WIRE_PAGE).text;
  none(
    t,
    unmentioned(Object.keys(ERROR_CODES), page, WIRE_PAGE, "error code"),
    "every error code is documented",
  );
  none(t, unmentioned(Object.keys(FRAME_TYPE), page, WIRE_PAGE, "frame"), "every frame is documented");
  const vectors = readFiles("packages/protocol", [".json"]).filter(({ path }) => path.includes("/vectors/"));
  const text = vectors.map((file) => file.text).join("\n");
  none(
    t,
    unmentioned(Object.keys(FRAME_TYPE), text, "packages/protocol", "golden vector of"),
    "golden vectors",
  );
});

// Rules that find nothing may be blind: each is shown something to find.
t.test("the rules see what they are to see", async (t) => {
  const seen = (findings: readonly Finding[]): boolean => findings.length === 1;
  const imports = (path: string, text: string): boolean => seen(importDirection([{ path, text }]));
  t.ok(imports("packages/journal/src/a.ts", 'import { x } from "@millrace/broker";'));
  t.ok(imports("packages/core/src/a.ts", 'export type {\n  X,\n} from "@millrace/protocol/internal";'));
  t.ok(imports("packages/client/src/a.ts", 'const x = await import("@millrace/gateway");'));
  t.ok(imports("packages/broker/src/a.ts", 'import "@millrace/core/dist/src/doorbell.js";'));
  t.ok(imports("packages/broker/src/a.ts", 'import { x } from "../../core/src/index.ts";'));
  t.ok(imports("packages/broker/src/a.ts", 'import { x } from "./b.js";'));
  t.ok(imports("examples/e/src/a.ts", 'import { x } from "@millrace/client/internal";'));
  t.notOk(imports("packages/broker/src/a.ts", 'import { x } from "@millrace/journal/internal";'));
  t.notOk(imports("packages/broker/src/a.ts", '// import { x } from "@millrace/gateway";'));
  const manifest = { path: "packages/client/package.json", text: '{"dependencies":{"@millrace/core":"*"}}' };
  t.ok(seen(dependencyDirection([manifest])));

  const banned = (path: string, text: string): boolean => seen(bannedNames([{ path, text }]));
  t.ok(banned("packages/broker/src/a.ts", "const now = Date.now();"));
  t.ok(banned("packages/client/src/a.ts", "Math.random();"));
  t.ok(banned("packages/broker/src/shard/a.ts", "randomUUID();"));
  t.ok(banned("packages/gateway/src/a.ts", "console.log(1);"));
  t.ok(banned("packages/gateway/src/a.ts", "export enum A {}"));
  t.ok(banned("packages/gateway/test/a.ts", 'export * from "./b.ts";'));
  t.notOk(banned("packages/broker/src/system-clock.ts", "const now = Date.now();"));
  t.notOk(banned("packages/broker/src/a.ts", 'const text = "Date.now()"; // Date.now()\n/* Date.now() */'));
  t.equal(codeOf('a / b; x = /"/.test(c) ? `d` : "\\""; // e').replaceAll(" ", ""), "a/b;x=.test(c)?:;");

  t.ok(seen(fileNames([{ path: "packages/core/src/ring-utils.ts", text: "" }])));
  t.ok(seen(fileNames([{ path: "packages/core/src/ringBuffer.ts", text: "" }])));
  t.ok(seen(fileNames([{ path: "packages/core/test/ring.spec.ts", text: "" }])));
  t.ok(seen(fileLengths([{ path: "a.ts", text: "\n".repeat(501) }], 500)));
  t.ok(seen(markdownHeadings([{ path: "a.md", text: "# a\n# b\n" }])));
  t.ok(seen(markdownHeadings([{ path: "a.md", text: "a\n# b\n" }])));
  t.notOk(seen(markdownHeadings([{ path: "a.md", text: "# a\n```\n# b\n```\n" }])));
  t.ok(seen(markdownLinks([{ path: "a.md", text: "[b](c.md#d) [e](https://f)" }], () => false)));
  t.ok(seen(unmentioned(["AB", "CD"], "`AB`", "a.md", "code")));
  const files = [
    { path: "p/src/index.ts", text: 'import { a } from "./a.ts"; new URL("./w.js", import.meta.url)' },
    { path: "p/src/a.ts", text: "" },
    { path: "p/src/w.ts", text: "" },
    { path: "p/src/dead.ts", text: "" },
  ];
  t.match(deadFiles(files, ["p/src/index.ts"]), [{ path: "p/src/dead.ts" }]);
});

/** The sources of what a package.json exports, and a program's main.ts. */
function entriesOf(folder: string): string[] {
  const exported = read(`${folder}/package.json`).text.matchAll(/"\.\/dist\/(src\/[^"]+)\.js"/g);
  return [`${folder}/src/main.ts`, ...Array.from(exported, (match) => `${folder}/${match[1]}.ts`)];
}

function read(path: string): SourceFile {
  const file = join(REPOSITORY, path);
  return { path, text: existsSync(file) ? readFileSync(file, "utf8") : "" };
}
