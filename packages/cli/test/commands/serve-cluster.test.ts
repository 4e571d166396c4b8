import { MillraceError } from "@millrace/client";
import type { ClusterOptions } from "@millrace/gateway/internal";
import t from "tap";
import { type CommandRun, type CommandRunOptions, runCommand } from "../command-run.ts";
import { failure } from "../memory-client.ts";

interface Served {
  readonly run: CommandRun;
  readonly options: ClusterOptions;
  readonly reloads: number;
}

/** Serves a cluster until it says that it listens; `meanwhile` is done, and SIGTERM delivered. */
async function serve(
  args: readonly string[],
  more: CommandRunOptions & { meanwhile?: (signal: (name: "SIGHUP") => void) => void } = {},
): Promise<Served> {
  let options: ClusterOptions | undefined;
  let reloads = 0;
  const run = await runCommand(["serve", ...args], {
    ...more,
    loadCluster: async () => async (given) => {
      options = given;
      return {
        url: "ws://127.0.0.1:7070",
        ended: new Promise<undefined>(() => {}),
        close: async () => {},
        async restart() {
          await given.reload?.();
          reloads += 1;
        },
      };
    },
    onStdout: (text, signal) => {
      if (!text.includes("listen")) return;
      setImmediate(() => {
        more.meanwhile?.(signal);
        setTimeout(() => signal("SIGTERM"), 20);
      });
    },
  });
  if (options === undefined) throw new Error("no cluster was created");
  return { run, options, reloads };
}

t.test("--nodes serves by so many, with the threads that are left", async (t) => {
  const { run, options } = await serve(["--nodes", "3", "--shards", "4"], { cores: 16 });
  t.equal(run.exitCode, 0);
  t.match(options, { nodes: 3, nodeThreads: 4, shards: 4, port: 7070 });
  t.match(run.stdout, /^3 nodes with 4 shard threads each: as configured\nmillrace listens on/);
  t.match((await serve(["--nodes", "3"], { cores: 2 })).options, { nodes: 3, nodeThreads: 1 });
  t.match((await serve(["--nodes", "1", "--node-threads", "5"])).options, { nodes: 1, nodeThreads: 5 });
});

t.test("a large machine gets a cluster unasked, and is told why", async (t) => {
  const { run, options } = await serve(["--log-format", "json"], { cores: 16 });
  t.match(options, { nodes: 4, nodeThreads: 3 });
  t.match(JSON.parse(run.stdout.split("\n", 1)[0] ?? ""), {
    event: "topology",
    nodes: 4,
    reason: /16 cores/,
  });
  const single = await runCommand(["serve", "--threads", "2"], {
    cores: 16,
    loadBroker: async () => async () => {
      throw failure("PORT_IN_USE", "one process");
    },
  });
  t.match(single, { exitCode: 1, stderr: /one process/ }, "unless threads of one process are wanted");
});

t.test("SIGHUP restarts the nodes with the settings as they are", async (t) => {
  const { run, reloads } = await serve(["--nodes", "2", "--log-format", "json"], {
    meanwhile: (signal) => signal("SIGHUP"),
  });
  t.equal(reloads, 1);
  t.match(run.stdout, /"event":"reloading"/);
});

t.test("a cluster that ends by itself is an error", async (t) => {
  const run = await runCommand(["serve", "--nodes", "2"], {
    loadCluster: async () => async () => ({
      url: "ws://127.0.0.1:7070",
      ended: Promise.resolve(new MillraceError("NODES_FAILED", "they died")),
      close: async () => {},
      restart: async () => {},
    }),
  });
  t.match(run, { exitCode: 1, stderr: /error NODES_FAILED: they died/ });
});

t.test("SIGTERM ends a cluster that has not come up yet", async (t) => {
  const run = await runCommand(["serve", "--nodes", "2", "--log-format", "json"], {
    loadCluster: async () => (given) =>
      new Promise((_, reject) => {
        given.logger?.log("info", "starting");
        given.signal?.addEventListener("abort", () => reject(failure("SERVER_DRAINING", "broken off")));
      }),
    onStdout: (text, signal) => {
      if (text.includes("starting")) setImmediate(() => signal("SIGTERM"));
    },
  });
  t.match(run, { exitCode: 0, stdout: /"event":"closed"/, stderr: "" });
});

t.test("restart and shard move need a supervisor", async (t) => {
  const data = t.testdir({ data: {} });
  t.match(await runCommand(["restart", "--data", `${data}/data`]), {
    exitCode: 1,
    stderr: /error NO_SUPERVISOR/,
  });
  t.match(await runCommand(["shard", "move", "1", "--to", "0", "--data", `${data}/data`]), {
    exitCode: 1,
    stderr: /error NO_SUPERVISOR/,
  });
  t.match(await runCommand(["shard", "move", "x", "--to", "0"]), { exitCode: 2 });
  t.match(await runCommand(["shard", "move", "1"]), { exitCode: 2 });
});
