import t, { type Test } from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { RawClient } from "../harness/raw-client.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";

const UPGRADE = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  "sec-websocket-version": "13",
};

async function statusFor(broker: BrokerProcess, headers: Record<string, string>): Promise<number> {
  return (await broker.get("/", { ...UPGRADE, ...headers })).status;
}

async function check(
  t: Test,
  broker: BrokerProcess,
  allowed: readonly string[],
  refused: readonly string[],
): Promise<void> {
  for (const origin of allowed) t.equal(await statusFor(broker, { origin }), 101, `${origin} may connect`);
  for (const origin of refused) t.equal(await statusFor(broker, { origin }), 403, `${origin} may not`);
}

t.test("pages from elsewhere may not connect", async (t) => {
  const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t) });
  const { port } = broker;
  const own = [`http://127.0.0.1:${port}`, `http://localhost:${port}`, `https://localhost:${port}`];
  const foreign = [
    "https://evil.example",
    "http://localhost",
    `http://localhost:${port + 1}`,
    `http://127.0.0.1:${port}.evil.example`,
    `http://evil.example:${port}`,
    "null",
    "file://",
  ];
  await check(t, broker, own, foreign);
  t.equal(await statusFor(broker, {}), 101, "a program that is no browser sends none");
  // DNS rebinding: the page's own name resolves to this machine, so its Host header agrees with its Origin.
  const rebound = { host: `evil.example:${port}`, origin: `http://evil.example:${port}` };
  t.equal(await statusFor(broker, rebound), 403, "the Host header proves nothing");
  const answer = await broker.get("/", { ...UPGRADE, origin: "https://evil.example" });
  t.match(JSON.parse(answer.body), { error: "NOT_AUTHORIZED" });
  await t.rejects(RawClient.open(t, broker.url, { origin: "https://evil.example" }), /403/);
  t.equal(broker.logged("origin-refused").length > 0, true, "it is logged");
});

t.test("--allow-origin", async (t) => {
  const args = ["--allow-origin", "https://app.example", "http://localhost:5173"];
  const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t), args });
  const allowed = [
    "https://app.example",
    "https://APP.example",
    "http://localhost:5173",
    `http://localhost:${broker.port}`,
  ];
  await check(t, broker, allowed, [
    "http://app.example",
    "https://app.example:8443",
    "https://sub.app.example",
  ]);

  const any = await BrokerProcess.start(t, { dataDir: temporaryFolder(t), args: ["--allow-origin", "*"] });
  await check(t, any, ["https://anything.example", "null"], []);
});

t.test("health", async (t) => {
  const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t) });
  t.match(await broker.get("/healthz"), { status: 200, body: /ok/ });
  t.match(await broker.get("/readyz"), { status: 200, body: /ready/ });
  t.match(await broker.get("/readyz?verbose=1"), { status: 200 });
  t.match(await broker.get("/readyz", { origin: "https://evil.example" }), { status: 200 });
  t.match(await broker.get("/nothing"), { status: 404 });
  t.match(await broker.get("/other", UPGRADE), { status: 404 }, "the broker's WebSocket is at /");
});
