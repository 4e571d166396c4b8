import { mkdirSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type CommandRun, runCommand } from "../command-run.ts";
import { configFile, testFolder } from "../config/config-file.ts";

interface JsonCheck {
  readonly kind: string;
  readonly name: string;
  readonly state: string;
  readonly sentence: string;
}

async function machine(t: Test, ...args: string[]): Promise<CommandRun> {
  const data = args.includes("--data") || args.includes("--config") ? [] : ["--data", testFolder(t)];
  return runCommand(["doctor", "--machine", ...data, ...args]);
}

function checksOf({ stdout }: CommandRun): JsonCheck[] {
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

t.test("a machine on which a broker can be started", async (t) => {
  const run = await machine(t, "--port", "0", "--json");
  t.match(run, { exitCode: 0, stderr: "" });
  const checks = checksOf(run);
  t.same(
    [...new Set(checks.map(({ name }) => name))],
    ["configuration", "versions", "cores", "open files", "data folder", "volume", "port"],
  );
  for (const { kind, state } of checks) t.match([kind, state], ["check", /^(ok|warning)$/]);
  const text = await machine(t, "--port", "0");
  t.match(text.stdout, /^ok {7}configuration: no file/);
  t.match(text.stdout, /\nok {7}port: any that is free\n/);
});

t.test("a folder that is not there yet is none the worse for it", async (t) => {
  const data = join(testFolder(t), "a/b/c");
  t.match(await machine(t, "--port", "0", "--data", data), {
    exitCode: 0,
    stdout: /data folder: .*a\/b\/c is not there yet/,
  });
});

t.test("a configuration that cannot be used", async (t) => {
  const file = configFile(t, "prot: 1\nshards: many\n");
  const run = await machine(t, "--config", file);
  t.match(run, { exitCode: 1, stderr: "error CHECK_FAILED: a start would fail: configuration\n" });
  t.match(
    run.stdout,
    /^failed {3}configuration: .*:1:1: there is no key "prot"; is port meant\?\nfailed .*shards/,
  );
  t.notMatch(run.stdout, / port: /, "nobody knows which");
  t.match(await machine(t, "--port", "0", "--host", "0.0.0.0"), {
    exitCode: 1,
    stdout: /^failed {3}configuration: INSECURE_HOST/,
  });
  t.match(await machine(t, "--port", "x"), { exitCode: 2, stdout: "" });
});

t.test("a port that somebody has, and an address that nobody has", async (t) => {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const run = await machine(t, "--port", String(port));
  t.match(run, { exitCode: 1, stderr: "error CHECK_FAILED: a start would fail: port\n" });
  const who = process.platform === "linux" ? `: process ${process.pid} \\(` : "";
  t.match(run.stdout, new RegExp(`failed   port: another program listens on 127.0.0.1 port ${port}${who}`));
  t.match(await machine(t, "--host", "192.0.2.1", "--insecure"), {
    exitCode: 1,
    stdout: /failed {3}port: cannot listen on 192\.0\.2\.1 .*\n +use an address of this machine/,
  });
});

t.test("without --machine the data is looked at all the same", async (t) => {
  const data = join(testFolder(t), "data");
  mkdirSync(data);
  const { exitCode, stdout, stderr } = await runCommand([
    "doctor",
    "--data",
    data,
    "--host",
    "0.0.0.0",
    "--port",
    "0",
  ]);
  t.equal(exitCode, 1);
  t.match(stdout, /failed {3}configuration: INSECURE_HOST/);
  t.match(stderr, /^error DATA_DIR_UNUSABLE: /);
});
