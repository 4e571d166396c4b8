import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import t, { type Test } from "tap";
import type { CreateCluster } from "../../src/commands/serve-broker.ts";
import { type CommandRun, runCommand } from "../command-run.ts";
import { configFile } from "../config/config-file.ts";
import { failure } from "../memory-client.ts";

/** A reload takes far less. */
const RELOADED_MS = 50;

type ClusterOptions = Parameters<CreateCluster>[0];

/** Serves a cluster from a file, writes another text to it, delivers SIGHUP and then SIGTERM. */
async function reload(
  t: Test,
  before: string,
  after: string,
): Promise<{ run: CommandRun; options: ClusterOptions; reloaded: unknown }> {
  const file = configFile(t, before);
  let options: ClusterOptions | undefined;
  let reloaded: unknown;
  const run = await runCommand(["serve", "--config", file, "--log-format", "json"], {
    cores: 8,
    loadCluster: async () => async (given) => {
      options = given;
      return {
        url: "ws://127.0.0.1:7070",
        close: async () => {},
        ended: new Promise(() => {}),
        async restart() {
          reloaded = await given.reload?.();
        },
      };
    },
    onStdout(text, signal) {
      if (!text.includes('"listening"')) return;
      setImmediate(() => {
        writeFileSync(file, after);
        signal("SIGHUP");
        setTimeout(() => signal("SIGTERM"), RELOADED_MS);
      });
    },
  });
  if (options === undefined) throw new Error("no cluster was created");
  return { run, options, reloaded };
}

function events({ stdout }: CommandRun, name: string): Record<string, unknown>[] {
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line))
    .filter(({ event }) => event === name);
}

t.test("SIGHUP reads the file again; what only a restart takes is told and stays", async (t) => {
  const before = "nodes: 2\nport: 7070\nallow-origin: a\n";
  const after = "nodes: 3\nport: 8080\nallow-origin: b\nretention-total: 1GiB\ntls-cert: c\ntls-key: k\n";
  const { run, options, reloaded } = await reload(t, before, after);
  t.match(run, { exitCode: 0, stderr: "" });
  t.match(options, { nodes: 2, nodeThreads: 3, port: 7070, allowOrigins: ["a"] });
  t.match(reloaded, { port: 7070, nodeThreads: 3, allowOrigins: ["b"], retentionTotalBytes: 1024 ** 3 });
  t.equal((reloaded as ClusterOptions).tls, undefined);
  t.match(events(run, "setting-changed"), [
    { level: "warn", key: "port", before: "7070", after: "8080", applies: "restart" },
    { level: "warn", key: "nodes", before: "2", after: "3" },
    { level: "info", key: "retention-total", before: "(80 % of the volume)", after: "1GiB" },
    { level: "info", key: "allow-origin", before: "a", after: "b", applies: "reload" },
    { level: "warn", key: "tls-cert", applies: "restart" },
    { level: "warn", key: "tls-key", applies: "restart" },
  ]);
});

t.test("certificates in other files are taken", async (t) => {
  const text = "nodes: 2\ntls-key: /k\ntls-cert: /a\n";
  const { reloaded } = await reload(t, text, text.replace("/a", "/b"));
  t.match(reloaded, { tls: { certFile: resolve("/b"), keyFile: resolve("/k") } });
});

t.test("a file that is wrong changes nothing", async (t) => {
  const { run, reloaded } = await reload(t, "nodes: 2\n", "nodes: 2\nprot: 1\n");
  t.equal(run.exitCode, 0);
  t.equal(reloaded, undefined);
  t.match(events(run, "reload-failed"), [
    { level: "error", error: { code: "CONFIG_INVALID", message: /:2:1: there is no key "prot"/ } },
  ]);
});

t.test("a signal while it starts, or while the nodes are being restarted, waits", async (t) => {
  const calls: string[] = [];
  let interrupt = (_name: "SIGTERM" | "SIGHUP"): void => {};
  const run = await runCommand(["serve", "--nodes", "2", "--log-format", "json"], {
    loadCluster: async () => async (options) => {
      options.logger?.log("info", "starting");
      interrupt("SIGHUP");
      calls.push("started");
      return {
        url: "ws://127.0.0.1:7070",
        close: async () => void calls.push("closed"),
        ended: new Promise(() => {}),
        async restart() {
          calls.push("restart");
          if (calls.length < 4) throw failure("INVALID_REQUEST", "a restart is under way");
          setImmediate(() => interrupt("SIGTERM"));
        },
      };
    },
    onStdout(_text, signal) {
      interrupt = signal;
    },
  });
  t.equal(run.exitCode, 0);
  t.same(calls, ["started", "restart", "restart", "restart", "closed"]);
  t.match(events(run, "reload-waits"), [{ reason: "a restart is under way" }, {}]);
});

t.test("a broker of one process ends in order when the signal comes while it starts", async (t) => {
  let closed = 0;
  let interrupt = (): void => {};
  const run = await runCommand(["serve", "--log-format", "json"], {
    loadBroker: async () => async (options) => {
      options.logger?.log("info", "recovering");
      interrupt();
      return { url: "ws://127.0.0.1:7070", close: async () => void closed++ };
    },
    onStdout: (_text, signal) => {
      interrupt = () => signal("SIGHUP");
    },
  });
  t.equal(run.exitCode, 0);
  t.equal(closed, 1);
});
