import { spawn } from "node:child_process";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import t from "tap";
import { REPOSITORY } from "./tidy/source-file.ts";

// The analysis server is killed half-way; the example itself compares its figures with the file's.
t.test("npm run example ends with exactly the figures of the file", { timeout: 120_000 }, async (t) => {
  const example = spawn(process.execPath, [join(REPOSITORY, "examples/dw-as/dist/src/main.js")], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  t.teardown(() => example.kill("SIGTERM"));
  const exited = new Promise<number | null>((resolve) => example.once("exit", resolve));
  const [output, errors] = await Promise.all([text(example.stdout), text(example.stderr)]);
  t.equal(await exited, 0);
  t.equal(errors, "");
  t.match(output, /^analysis by offset: killed \(SIGKILL\) after \d+ flights$/m);
  t.match(output, /^analysis by offset: exactly the figures of the file/m);
  t.match(output, /^analysis by time: exactly the figures of the file/m);
  t.match(output, /^notices: 2 servers handled \d+ \+ \d+ flights and sent \d+ notices$/m);
  t.match(output, /\nok: nothing lost, nothing counted twice\n$/);
});
