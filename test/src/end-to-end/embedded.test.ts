import { connect as connectSocket } from "node:net";
import { connect } from "@millrace/client";
import { createBroker } from "@millrace/gateway";
import t from "tap";
import { httpGet } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { readAll, valuesOf } from "../harness/reading.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { inTime } from "../harness/waiting.ts";

t.test("a broker inside the caller's process", async (t) => {
  const dataDir = temporaryFolder(t);
  const events: string[] = [];
  const broker = await createBroker({
    dataDir,
    port: 0,
    shards: 2,
    logger: { log: (_level, event) => events.push(event) },
  });
  t.match(broker.url, /^ws:\/\/127\.0\.0\.1:\d+$/);
  t.equal(new URL(broker.url).port, String(broker.port));
  t.match(await broker.status(), { ready: true, topics: 0, failedShards: [] });
  t.ok(events.length > 0, "it tells its logger");

  const client = await connectedClient(t, broker.url);
  await client.topics.create("inside", { partitions: 4 });
  const producer = client.producer("inside");
  await Promise.all([0, 1, 2, 3].map((partition) => producer.send({ value: partition, partition })));
  t.same(valuesOf(await readAll(client, "inside")).sort(), [0, 1, 2, 3]);

  t.match(await httpGet(broker.port, "/healthz"), { status: 200 });
  t.match(await httpGet(broker.port, "/readyz"), { status: 200 });
  t.match(await httpGet(broker.port, "/else"), { status: 404 });
  t.match(await httpGet(broker.port, "/healthz", {}, "POST"), { status: 405 });

  await t.rejects(createBroker({ dataDir, port: 0 }), { code: "DATA_DIR_IN_USE" });
  const port = { code: "PORT_IN_USE" };
  await t.rejects(createBroker({ dataDir: temporaryFolder(t), port: broker.port }), port);
  await t.rejects(createBroker({ dataDir: temporaryFolder(t), host: "0.0.0.0", port: 0 }), {
    code: "INSECURE_HOST",
  });

  await client.close();
  await inTime(Promise.all([broker.close(), broker.close()]), "the broker to close");
  await t.rejects(connect(broker.url), { code: "CONNECT_FAILED" });
  await t.rejects(createBroker({ dataDir, port: 0, shards: 3 }), { code: "SHARD_COUNT_FIXED" });

  const again = await createBroker({ dataDir, port: 0 });
  t.teardown(() => again.close());
  const other = await connectedClient(t, again.url);
  t.same(valuesOf(await readAll(other, "inside")).sort(), [0, 1, 2, 3], "what was stored is there again");
});

t.test("two brokers in one process keep apart", async (t) => {
  const brokers = await Promise.all(
    [0, 1].map(() => createBroker({ dataDir: temporaryFolder(t), port: 0, shards: 1 })),
  );
  for (const broker of brokers) t.teardown(() => broker.close());
  const clients = await Promise.all(brokers.map(({ url }) => connectedClient(t, url)));
  for (const [i, client] of clients.entries()) {
    await client.topics.create("same-name");
    await client.producer("same-name").send({ value: `broker ${i}` });
  }
  for (const [i, client] of clients.entries()) {
    t.same(valuesOf(await readAll(client, "same-name")), [`broker ${i}`]);
  }
});

t.test("closing ends sessions in order, also those of clients that do not react", async (t) => {
  const broker = await createBroker({ dataDir: temporaryFolder(t), port: 0, shards: 1 });
  const client = await connectedClient(t, broker.url, { reconnect: false });
  const closed = new Promise((resolve) => client.on("closed", resolve));
  const silent = connectSocket({ host: "127.0.0.1", port: broker.port });
  t.teardown(() => silent.destroy());
  const gone = new Promise<void>((resolve) => {
    silent.on("close", () => resolve());
    silent.on("error", () => {});
    silent.resume();
  });
  await new Promise<void>((resolve) => silent.once("connect", () => resolve()));
  await inTime(broker.close(), "the broker to close");
  t.match(await inTime(closed, "the client to hear of it"), { code: "SERVER_DRAINING" });
  await inTime(gone, "the idle connection to be closed");
});
