import { join, resolve } from "node:path";
import type { BrokerOptions } from "@millrace/gateway";
import t from "tap";
import { type CommandRun, runCommand } from "../command-run.ts";
import { configFile } from "../config/config-file.ts";
import { failure } from "../memory-client.ts";

/** Serves until it says that it listens, then delivers SIGTERM. */
async function serve(
  args: readonly string[],
  url: string,
  close: () => Promise<void> = async () => {},
  env: Readonly<Record<string, string>> = {},
): Promise<{ run: CommandRun; options: BrokerOptions }> {
  let options: BrokerOptions | undefined;
  const run = await runCommand(["serve", ...args], {
    env,
    loadBroker: async () => async (given) => {
      options = given;
      return { url, close };
    },
    onStdout: (text, signal) => {
      if (text.includes("listen")) setImmediate(() => signal("SIGTERM"));
    },
  });
  if (options === undefined) throw new Error("no broker was created");
  return { run, options };
}

t.test("defaults, and what to try next", async (t) => {
  let closed = 0;
  const { run, options } = await serve([], "ws://127.0.0.1:7070", async () => void closed++);
  t.equal(run.exitCode, 0);
  t.equal(closed, 1);
  const { logger: _logger, ...rest } = options;
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  t.same(given, {
    dataDir: resolve("millrace-data"),
    host: "127.0.0.1",
    port: 7070,
    insecure: false,
    allowOrigins: [],
    autoCreateTopics: false,
  });
  const lines = run.stdout.split("\n");
  t.match(lines[0], /^one process: 1 node and \d+ shard threads? for \d+ cores?: /);
  t.equal(lines[1], "millrace listens on ws://127.0.0.1:7070, data in ./millrace-data");
  t.equal(
    lines[3],
    '  npx millrace topic create hello --if-not-exists && npx millrace pub hello "first record"',
  );
  t.equal(lines[4], "  npx millrace sub hello --from earliest");
});

t.test("every option reaches the broker; json says listening", async (t) => {
  const args =
    "--host 0.0.0.0 --port 0 --data d --shards 4 --threads 2 --insecure --auto-create --log-format json";
  const origins = ["--allow-origin", "https://a.example", "https://b.example"];
  const { run, options } = await serve([...args.split(" "), ...origins], "ws://0.0.0.0:4711");
  t.equal(run.exitCode, 0);
  t.match(options, {
    dataDir: resolve("d"),
    host: "0.0.0.0",
    port: 0,
    shards: 4,
    shardThreads: 2,
    insecure: true,
    allowOrigins: ["https://a.example", "https://b.example"],
    autoCreateTopics: true,
  });
  const events = run.stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  t.match(events, [
    {
      event: "topology",
      nodes: 0,
      nodeThreads: 2,
      reason: "one process with 2 shard threads: as configured",
    },
    { level: "info", event: "listening", url: "ws://0.0.0.0:4711" },
    { event: "draining" },
    { event: "closed" },
  ]);
});

t.test("the file and the environment reach the broker, too", async (t) => {
  const file = configFile(t, "host: 0.0.0.0\ninsecure: true\ndata: d\nshards: 4\nauto-create: true\n");
  const env = { MILLRACE_CONFIG: file, MILLRACE_SHARDS: "8", MILLRACE_PROT: "1" };
  const args = ["--no-auto-create", "--log-format", "json"];
  const { run, options } = await serve(args, "ws://0.0.0.0:7070", undefined, env);
  t.match(options, {
    dataDir: join(file, "../d"),
    host: "0.0.0.0",
    shards: 8,
    insecure: true,
    autoCreateTopics: false,
  });
  t.match(JSON.parse(run.stdout.split("\n", 1)[0] ?? ""), {
    level: "warn",
    event: "configuration",
    warning: /is MILLRACE_PORT meant/,
  });
  t.match(await runCommand(["serve", "--config", configFile(t, "prot: 1")]), {
    exitCode: 1,
    stdout: "",
    stderr: /^error CONFIG_INVALID: .*:1:1: there is no key "prot"; is port meant\?\n$/,
  });
});

t.test("on another port the lines to try next name it", async (t) => {
  const { run } = await serve(["--port", "8080"], "ws://127.0.0.1:8080");
  t.match(run.stdout, /sub hello --from earliest --url ws:\/\/127\.0\.0\.1:8080\n/);
});

t.test("a start that fails says why and exits with 1", async (t) => {
  const loadBroker = async () => async () => {
    throw failure("DATA_DIR_IN_USE", "d is in use by process 7");
  };
  t.match(await runCommand(["serve"], { loadBroker }), {
    exitCode: 1,
    stderr: "error DATA_DIR_IN_USE: d is in use by process 7\n",
  });
  const json = await runCommand(["serve", "--log-format", "json"], { loadBroker });
  t.match(JSON.parse(json.stdout), {
    level: "error",
    event: "start-failed",
    error: { code: "DATA_DIR_IN_USE" },
  });
});

t.test("a signal while it starts drains once it has", async (t) => {
  let closed = 0;
  let interrupt = (): void => {};
  const run = runCommand(["serve", "--log-format", "json"], {
    loadBroker: async () => async (options) => {
      options.logger?.log("info", "recovering");
      interrupt();
      return { url: "ws://127.0.0.1:7070", close: async () => void closed++ };
    },
    onStdout: (_text, signal) => {
      interrupt = () => signal("SIGTERM");
    },
  });
  t.match(await run, { exitCode: 0 });
  t.equal(closed, 1);
});
