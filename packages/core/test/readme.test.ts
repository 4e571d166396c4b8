import { execFile } from "node:child_process";
import { readFile, unlink, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import t from "tap";

t.test("the README's example prints what the README says", async (t) => {
  const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
  const example = /```js\n([\s\S]*?)```/.exec(readme)?.[1];
  const promised = /it prints `([^`]*)`/.exec(readme)?.[1];
  if (example === undefined || promised === undefined) throw new Error("README.md has no example");
  // Inside the package, so that it finds @millrace/core by its name.
  const file = fileURLToPath(new URL(`./readme-example-${process.pid}.mjs`, import.meta.url));
  await writeFile(file, example);
  t.teardown(() => unlink(file));
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [file], { timeout: 30_000 });
  t.equal(stdout.trim(), promised);
  t.equal(stderr, "");
});
