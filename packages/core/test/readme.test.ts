import { execFile } from "node:child_process";
import { readFile, unlink, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import t from "tap";

t.test("the README's examples print what the README says", async (t) => {
  const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
  // What an example prints stands in the text before it.
  const examples = Array.from(readme.matchAll(/prints `([^`]*)`\.\n\n```js\n([\s\S]*?)```/g), (match) => ({
    promised: match[1] ?? "",
    code: match[2] ?? "",
  }));
  t.equal(examples.length, readme.match(/```js\n/g)?.length, "every example is run");
  t.ok(examples.length >= 3);
  for (const [i, { promised, code }] of examples.entries()) {
    // Inside the package, so that it finds @millrace/core by its name.
    const file = fileURLToPath(new URL(`./readme-example-${process.pid}-${i}.mjs`, import.meta.url));
    await writeFile(file, code);
    t.teardown(() => unlink(file));
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [file], { timeout: 30_000 });
    t.equal(stdout.trim(), promised);
    t.equal(stderr, "");
  }
});
