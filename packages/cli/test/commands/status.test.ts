import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { ClusterStatus } from "@millrace/broker/internal";
import t, { type Test } from "tap";
import { runCommand } from "../command-run.ts";

const LINK = {
  direction: "out",
  nodeId: 1,
  run: 9,
  state: "up",
  rttMs: 0.125,
  receivedBytes: 1,
  sentBytes: 1,
  queuedBytes: 2048,
  lanes: [{ shardId: 1, epoch: 4, state: "up", creditBytes: 1, parkedBytes: 0 }],
  lastError: undefined,
} as const;

const STATUS: ClusterStatus = {
  version: "1.2.3",
  clusterId: "c1",
  nodeId: 0,
  timeMs: 1,
  supervisor: { pid: null, note: "none: no shard moves until one runs" },
  coordinator: 0,
  topics: 3,
  subscriptions: 2,
  disk: { low: false, freeBytes: 3 * 1024 ** 3, totalBytes: 4 * 1024 ** 3, retentionTotalBytes: 0 },
  nodes: [
    {
      nodeId: 0,
      state: "up",
      ready: true,
      conditions: ["the way to shard 2 is interrupted"],
      pid: 4711,
      run: 7,
      version: "1.2.3",
      url: "ws://127.0.0.1:7071",
      uptimeMs: 93_784_000,
      rssBytes: 100 * 1024 ** 2,
      heapUsedBytes: 20 * 1024 ** 2,
      eventLoopDelayMs: { p50: 0.1, p99: 1.5, max: 12 },
      sessions: 5,
      links: [LINK, { ...LINK, direction: "in" }],
    },
    { nodeId: 1, state: "up", unreached: "no link" },
  ],
  shards: [
    {
      shardId: 0,
      nodeId: 0,
      state: "up",
      epoch: 3,
      partitions: 4,
      producers: 0,
      stagedPosition: 10,
      committedPosition: 8,
      storedBytes: 4096,
      settledFiles: 0,
      backlogBytes: 0,
      refusing: "disk-low",
      inboundFill: 0.254,
      outboundFill: 0,
    },
    { shardId: 1, nodeId: 1, state: "unreached", epoch: 4 },
    { shardId: 2, nodeId: null, state: "failed", epoch: 2, failed: "JOURNAL_FAILED: a sync failed" },
  ],
};

/** A broker that answers so; its URL. */
async function answering(t: Test, status: number, body: string): Promise<string> {
  const server: Server = createServer((request, response) => {
    response.statusCode = request.url === "/v1/status" && request.method === "GET" ? status : 404;
    response.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => server.close());
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

t.test("nodes, shards, links and what is wrong", async (t) => {
  const url = await answering(t, 200, JSON.stringify(STATUS));
  const { exitCode, stdout, stderr } = await runCommand(["status", "--url", url]);
  t.same([exitCode, stderr], [0, ""]);
  t.same(stdout.split("\n"), [
    "millrace 1.2.3, cluster c1, asked node 0",
    "supervisor  none: no shard moves until one runs",
    "catalog     3 topics, 2 subscriptions; node 0 changes it",
    "disk        3.0 GiB of 4.0 GiB free",
    "",
    "NODE  STATE      PID   UPTIME  SESSIONS  RSS        HEAP      LOOP P50  P99     MAX",
    "   0  up         4711  1d 2h   5         100.0 MiB  20.0 MiB  0.1 ms    1.5 ms  12 ms",
    "   1  unreached",
    "",
    "SHARD  NODE  STATE      EPOCH  PARTITIONS  COMMITTED  STORED   BACKLOG  RINGS             REFUSING",
    "    0  0     up             3  4           8          4.0 KiB  0 B      25 % in, 0 % out  disk-low",
    "    1  1     unreached      4  -           -          -        -        -                 -",
    "    2  -     failed         2  -           -          -        -        -                 -",
    "",
    "LINK    STATE  RTT      QUEUED   SHARDS  LAST ERROR",
    "0 to 1  up     0.13 ms  2.0 KiB  1       -",
    "",
    "node 0: the way to shard 2 is interrupted",
    "node 1 did not answer: no link",
    "shard 2 is out of service: JOURNAL_FAILED: a sync failed",
    "",
  ]);
  const json = await runCommand(["status", "--json", "--url", url]);
  t.same(JSON.parse(json.stdout), JSON.parse(JSON.stringify(STATUS)));
});

t.test("a broker that does not say how it is", async (t) => {
  const refused = await answering(t, 503, JSON.stringify({ error: "SHARD_RESTARTED", message: "later" }));
  t.match(await runCommand(["status", "--url", refused]), {
    exitCode: 1,
    stdout: "",
    stderr: /^error CONNECT_FAILED: cannot ask .* SHARD_RESTARTED: later\n$/,
  });
  const other = await answering(t, 200, "<html>");
  t.match(await runCommand(["status", "--url", other]), { exitCode: 1, stderr: /something else/ });
  t.match(await runCommand(["status", "--url", "ws://127.0.0.1:1"]), {
    exitCode: 1,
    stderr: /^error CONNECT_FAILED: /,
  });
});
