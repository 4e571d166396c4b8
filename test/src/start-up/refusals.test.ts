import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type BrokerOptions, BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { TEST_TARGET } from "../harness/test-target.ts";

const THREADS = TEST_TARGET === "process" ? "--threads" : "--node-threads";

/** "nobody": an account that may read the repository, and owns nothing. */
const POWERLESS_UID = 65_534;

/** The start must fail with exit code 1 and one line `error CODE: message`, whose message is returned. */
async function refused(t: Test, code: string, options: BrokerOptions): Promise<string> {
  const result = await BrokerProcess.refused(t, options);
  t.same([result.code, result.signal], [1, null], `${code}: exit code`);
  const lines = result.message.split("\n").filter((line) => line.startsWith("error "));
  t.equal(lines.length, 1, "one line says why");
  t.equal(lines[0]?.split(":")[0], `error ${code}`, result.message.slice(0, 300));
  return lines[0] ?? "";
}

function isPowerless(t: Test): boolean {
  if (process.getuid?.() === 0) return false;
  t.comment("root can write everywhere; only root can become somebody who cannot");
  return true;
}

t.test("a port that is taken", async (t) => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as { port: number };
  const dataDir = temporaryFolder(t);
  const message = await refused(t, "PORT_IN_USE", { dataDir, port });
  t.match(message, new RegExp(`\\b${port}\\b`), "the message names it");

  const broker = await BrokerProcess.start(t, { dataDir });
  await refused(t, "PORT_IN_USE", { dataDir: temporaryFolder(t), port: broker.port });
  await connectedClient(t, broker.url);
});

t.test("addresses", async (t) => {
  const dataDir = temporaryFolder(t);
  const open = await refused(t, "INSECURE_HOST", { dataDir, args: ["--host", "0.0.0.0"] });
  t.match(open, "0.0.0.0");
  await refused(t, "INSECURE_HOST", { dataDir, args: ["--host", "::"] });
  // TEST-NET-3, RFC 5737: nobody's address.
  await refused(t, "ADDRESS_NOT_AVAILABLE", { dataDir, args: ["--host", "203.0.113.7", "--insecure"] });
  const meant = await BrokerProcess.start(t, { dataDir, args: ["--host", "0.0.0.0", "--insecure"] });
  const client = await connectedClient(t, `ws://127.0.0.1:${meant.port}`);
  t.same(await client.topics.list(), []);
});

t.test("a port for which one has to be root", async (t) => {
  if (isPowerless(t)) return;
  const first = Number(readFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start", "utf8"));
  if (first <= 80) {
    t.comment(`everybody may listen from port ${first} on here`);
    return;
  }
  const dataDir = temporaryFolder(t);
  chmodSync(dataDir, 0o777);
  await refused(t, "PORT_FORBIDDEN", { dataDir, port: 80, uid: POWERLESS_UID });
});

t.test("a data folder that another broker uses", async (t) => {
  const dataDir = temporaryFolder(t);
  const first = await BrokerProcess.start(t, { dataDir });
  const client = await connectedClient(t, first.url);
  await client.topics.create("mine");
  const message = await refused(t, "DATA_DIR_IN_USE", { dataDir });
  t.match(message, new RegExp(`pid=${first.pid}\\b`), "the message names who uses it");
  t.ok(message.includes(dataDir), "and the folder");
  await client.producer("mine").send({ value: "still here" });

  await first.kill();
  const next = await BrokerProcess.start(t, { dataDir });
  t.ok(next.url, "what a killed broker leaves behind does not count");
});

t.test("another number of shards", async (t) => {
  const dataDir = temporaryFolder(t);
  const first = await BrokerProcess.start(t, { dataDir, args: ["--shards", "2"] });
  await first.stop();
  const message = await refused(t, "SHARD_COUNT_FIXED", { dataDir, args: ["--shards", "3"] });
  t.match(message, /\b2\b.*\b3\b/, "the message names both");
  const same = await BrokerProcess.start(t, { dataDir, args: ["--shards", "2", THREADS, "2"] });
  await same.stop();
  await BrokerProcess.start(t, { dataDir });
  t.pass("the stored number need not be stated");
});

t.test("a data folder that cannot be used", async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, "file");
  writeFileSync(file, "not a folder");
  t.ok((await refused(t, "DATA_DIR_UNUSABLE", { dataDir: file })).includes(file));
  await refused(t, "DATA_DIR_UNUSABLE", { dataDir: join(file, "below") });
  if (isPowerless(t)) return;
  const readOnly = join(folder, "read-only");
  mkdirSync(readOnly);
  chmodSync(folder, 0o755);
  chmodSync(readOnly, 0o555);
  await refused(t, "DATA_DIR_UNUSABLE", { dataDir: readOnly, uid: POWERLESS_UID });
  await refused(t, "DATA_DIR_UNUSABLE", { dataDir: join(readOnly, "new"), uid: POWERLESS_UID });

  const dataDir = join(folder, "of-root");
  const first = await BrokerProcess.start(t, { dataDir });
  await first.stop();
  await refused(t, "DATA_DIR_UNUSABLE", { dataDir, uid: POWERLESS_UID });
});

t.test("a description of the folder that is garbage", async (t) => {
  const dataDir = temporaryFolder(t);
  const first = await BrokerProcess.start(t, { dataDir });
  const client = await connectedClient(t, first.url);
  await client.topics.create("kept");
  await client.close();
  await first.stop();
  const file = join(dataDir, "millrace.json");
  const kept = join(temporaryFolder(t), "millrace.json");
  copyFileSync(file, kept);
  const good = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
  const bad: string[] = ["", "{", "garbage \u0000\u0001", "null", "[]", "42", "{}"];
  bad.push(JSON.stringify({ ...good, shards: "2" }), JSON.stringify({ ...good, shards: 0 }));
  bad.push(JSON.stringify({ ...good, shards: -1 }), JSON.stringify({ ...good, shards: 1e9 }));
  for (const text of bad) {
    writeFileSync(file, text);
    const message = await refused(t, "DATA_DIR_UNUSABLE", { dataDir });
    t.ok(message.includes("millrace.json"), JSON.stringify(text));
  }
  writeFileSync(file, JSON.stringify({ ...good, version: 1000 }));
  await refused(t, "DATA_FORMAT_NEWER", { dataDir });

  copyFileSync(kept, file);
  const again = await BrokerProcess.start(t, { dataDir });
  const other = await connectedClient(t, again.url);
  t.same(
    (await other.topics.list()).map(({ name }) => name),
    ["kept"],
    "nothing was made anew over it",
  );
});

t.test("a path that is too long for a socket's address", async (t) => {
  const dataDir = join(temporaryFolder(t), "long-".repeat(40), "data");
  const broker = await BrokerProcess.start(t, { dataDir });
  t.ok(broker.url);
  await refused(t, "DATA_DIR_IN_USE", { dataDir });
});
