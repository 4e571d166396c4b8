import { connect as connectTcp } from "node:net";
import t, { type Test } from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { RawSocket } from "../harness/raw-socket.ts";
import { SeededRandom, seedOf } from "../harness/seeded-random.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { pauseMs, until } from "../harness/waiting.ts";

const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t), args: ["--auto-create"] });
const client = await connectedClient(t, broker.url);
const httpUrl = broker.url.replace("ws:", "http:");

interface Published {
  readonly records: readonly { readonly partition: number; readonly offset: number }[];
}

function post(topic: string, body: string | Uint8Array, headers: Record<string, string>): Promise<Response> {
  return fetch(`${httpUrl}/v1/topics/${topic}/records`, { method: "POST", body, headers });
}

t.test("records that come by HTTP are records like any other", async (t) => {
  await client.topics.create("orders", { partitions: 4 });
  const byClient = await client.producer("orders").send({ key: "k1", value: "by client" });
  const records = [
    { value: "ü", key: "k1", headers: { a: "b" } },
    { value: { n: [1, null] }, key: "k1" },
    { valueBase64: "AAEC", key: "k1" },
  ];
  const answer = await post("orders", JSON.stringify({ records }), { "content-type": "application/json" });
  t.equal(answer.status, 200);
  const { partition } = byClient;
  t.match(await answer.json(), {
    topic: "orders",
    records: [1, 2, 3].map((offset) => ({ partition, offset })),
  });
  const raw = await post("orders", Buffer.from([9]), { "millrace-key": "k1", "millrace-header-x": "y" });
  t.equal(raw.status, 200);
  const read: unknown[] = [];
  for await (const { value, headers } of client.subscribe("orders", { from: "earliest", untilEnd: true })) {
    read.push([value, headers]);
  }
  t.strictSame(read, [
    ["by client", undefined],
    ["ü", { a: "b" }],
    ['{"n":[1,null]}', undefined],
    [Uint8Array.of(0, 1, 2), undefined],
    [Uint8Array.of(9), { x: "y" }],
  ]);
});

t.test("a topic that is not there is made, since the broker was told so", async (t) => {
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) => post("made.now", `${i}`, { "content-type": "text/plain" })),
  );
  const published = (await Promise.all(answers.map((answer) => answer.json()))) as Published[];
  const offsets = published.map(({ records }) => records[0]?.offset);
  t.same(new Set(offsets), new Set(Array.from({ length: 20 }, (_, i) => i)));
});

t.test("a connection is kept for further requests, also behind refusals and chunked bodies", async (t) => {
  const socket = await RawSocket.connect(t, broker.port);
  const path = "/v1/topics/orders/records";
  const requests = [
    `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\none`,
    `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: text/html\r\ncontent-length: 3\r\n\r\ntwo`,
    `POST ${path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nth\r\n3\r\nree\r\n0\r\n\r\n`,
    `OPTIONS ${path} HTTP/1.1\r\nhost: x\r\norigin: ${httpUrl}\r\n\r\n`,
    "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n",
  ];
  for (let i = 0; i < requests.length; i += 1) {
    // uWebSockets.js wants the request line in one piece.
    const [line = "", ...rest] = (requests[i] as string).split(/(?<=\n)/);
    socket.write(line);
    for (const byte of rest.join("")) {
      socket.write(byte);
      if (i % 2 === 0) await pauseMs(0);
    }
    await until(() => statuses(socket).length > i, "an answer");
  }
  t.same(statuses(socket), [200, 415, 200, 204, 200]);
  const [head = ""] = / 204 [\s\S]*?\r\n\r\n/.exec(socket.received.toString("latin1")) ?? [];
  t.ok(head !== "" && !/content-length/i.test(head), "a status without a body states no length");
});

t.test("a body that is cut off is not stored, and costs nobody else anything", async (t) => {
  const before = await client.topics.describe("orders");
  for (const part of ["", "{", '{"records":[{"value":"x"}]']) {
    const socket = await RawSocket.connect(t, broker.port);
    socket.write(`POST /v1/topics/orders/records HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n${part}`);
    await answered(t);
    socket.end();
    await socket.closed;
  }
  const after = await client.topics.describe("orders");
  t.same(
    after.partitionInfo?.map(({ highWatermark }) => highWatermark),
    before.partitionInfo?.map(({ highWatermark }) => highWatermark),
  );
});

t.test("whatever bytes come, the broker goes on", async (t) => {
  const random = new SeededRandom(seedOf(t));
  const seeds = [
    "POST /v1/topics/orders/records HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 27\r\n\r\n",
    'POST /v1/topics/orders/records HTTP/1.1\r\nhost: x\r\ncontent-length: 27\r\n\r\n{"records":[{"value":"x"}]}',
    "POST /v1/topics/orders/records HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1b\r\n",
    "POST /v1/topics/%00%ff/records HTTP/1.1\r\nhost: x\r\ncontent-length: 18446744073709551616\r\n\r\n",
    "POST /v1/topics/orders/records HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\nxx",
    "POST /v1/topics/orders/records HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
    "GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: x\r\n\r\n",
  ];
  for (let round = 0; round < 150; round += 1) {
    const bytes = Buffer.from((seeds[round % seeds.length] as string).repeat(1 + (round % 3)), "latin1");
    for (let changes = random.below(6); changes > 0; changes -= 1) {
      bytes[random.below(bytes.length)] = random.below(256);
    }
    const cut = random.below(2) === 0 ? bytes.length : random.below(bytes.length);
    await new Promise<void>((resolve) => {
      const socket = connectTcp(broker.port, "127.0.0.1", () => {
        socket.write(bytes.subarray(0, cut));
        // Some wait for what comes, some go at once, in order or not.
        setTimeout(() => (random.below(2) === 0 ? socket.end() : socket.resetAndDestroy()), random.below(4));
      });
      socket.on("error", () => {});
      socket.on("close", () => resolve());
      socket.resume();
    });
  }
  await answered(t);
  t.same(broker.logged("listener-hook-failed"), []);
});

async function answered(t: Test): Promise<void> {
  t.equal((await fetch(`${httpUrl}/healthz`)).status, 200);
}

function statuses(socket: RawSocket): number[] {
  return [...socket.received.toString("latin1").matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) =>
    Number(status),
  );
}
