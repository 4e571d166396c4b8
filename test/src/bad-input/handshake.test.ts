import { LIMITS } from "@millrace/protocol";
import t, { type Test } from "tap";
import { BrokerProcess, httpGet } from "../harness/broker-process.ts";
import { wallMs } from "../harness/clock.ts";
import { frameBytes, helloFields, publishFrame, RawClient } from "../harness/raw-client.ts";
import { RawSocket, webSocketFrame } from "../harness/raw-socket.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { inTime } from "../harness/waiting.ts";
import { Witness } from "../harness/witness.ts";

const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t) });
const witness = await Witness.start(t, broker);
// Each of these is closed once its time for HELLO is over, while the other tests run.
const silent = await RawClient.open(t, broker.url);

interface Refusal {
  readonly title: string;
  readonly send: (client: RawClient) => void;
  readonly code: string;
  readonly closeCode: number;
}

function hello(changes: Parameters<typeof helloFields>[0]): (client: RawClient) => void {
  return (client) => client.send("HELLO", helloFields(changes));
}

const refusals: readonly Refusal[] = [
  { title: "PING first", send: (c) => c.send("PING", { nonce: 1 }), code: "HELLO_EXPECTED", closeCode: 1002 },
  {
    title: "PUBLISH first",
    send: (c) => c.sendBytes(publishFrame({ topicId: 1, records: [{ value: "x" }] })),
    code: "HELLO_EXPECTED",
    closeCode: 1002,
  },
  {
    title: "bytes of no meaning",
    send: (c) => c.sendBytes(Buffer.from("\u00c1hello")),
    code: "HELLO_EXPECTED",
    closeCode: 1002,
  },
  {
    title: "an empty message",
    send: (c) => c.sendBytes(new Uint8Array(0)),
    code: "HELLO_EXPECTED",
    closeCode: 1002,
  },
  { title: "text", send: (c) => c.sendText("[1,1,1]"), code: "TEXT_FRAME", closeCode: 1003 },
  {
    title: "a HELLO without a version",
    send: (c) => c.sendBytes(Buffer.from([0x91, 1])),
    code: "MALFORMED_FRAME",
    closeCode: 1002,
  },
  {
    title: "a newer version",
    send: hello({ versionMin: 2, versionMax: 9 }),
    code: "UNSUPPORTED_VERSION",
    closeCode: 1008,
  },
  {
    title: "version 0",
    send: hello({ versionMin: 0, versionMax: 0 }),
    code: "UNSUPPORTED_VERSION",
    closeCode: 1008,
  },
  {
    title: "an upside-down range",
    send: hello({ versionMin: 5, versionMax: 1 }),
    code: "UNSUPPORTED_VERSION",
    closeCode: 1008,
  },
  {
    title: "authentication",
    send: hello({ auth: ["token", "secret"] }),
    code: "UNSUPPORTED_FEATURE",
    closeCode: 1008,
  },
  {
    title: "a needed feature",
    send: hello({ features: ["teleport"] }),
    code: "UNSUPPORTED_FEATURE",
    closeCode: 1008,
  },
  {
    title: "an extension",
    send: hello({ extensions: { tenant: "a" } }),
    code: "UNSUPPORTED_FEATURE",
    closeCode: 1008,
  },
  {
    title: "too many features",
    send: hello({ features: new Array<string>(LIMITS.featuresMax + 1).fill("f") }),
    code: "MALFORMED_FRAME",
    closeCode: 1002,
  },
  {
    title: "a name that is too long",
    send: hello({ clientName: "n".repeat(LIMITS.clientNameBytesMax + 1) }),
    code: "MALFORMED_FRAME",
    closeCode: 1002,
  },
  {
    title: "a frame above the limit",
    send: (c) => c.sendBytes(new Uint8Array(LIMITS.frameBytesMax + 1)),
    code: "FRAME_TOO_LARGE",
    closeCode: 1009,
  },
];

for (const { title, send, code, closeCode } of refusals) {
  t.test(`a session that begins with ${title}`, async (t) => {
    const client = await RawClient.open(t, broker.url);
    send(client);
    const { error, closed } = await client.refusal();
    t.match(error, { name: code, requestId: undefined });
    t.same(closed, { code: closeCode, reason: code });
    t.equal(client.history.length, 1, "nothing else was said");
  });
}

t.test("what a WELCOME says", async (t) => {
  const client = await RawClient.open(t, broker.url);
  const beforeMs = wallMs();
  const welcome = await client.hello({ versionMin: 1, versionMax: 99 });
  t.equal(welcome.version, LIMITS.protocolVersion);
  t.same(welcome.limits, LIMITS, "every limit");
  t.equal(welcome.publishCredit, LIMITS.publishCreditInitialBytes);
  t.match(welcome.serverName, /^millrace\//);
  t.ok(welcome.serverTimeMs >= beforeMs && welcome.serverTimeMs <= wallMs());
  const other = await RawClient.open(t, broker.url);
  t.not((await other.hello()).sessionId, welcome.sessionId);

  client.send("HELLO", helloFields());
  const { error, closed } = await client.refusal();
  t.equal(error.name, "MALFORMED_FRAME", "a second HELLO");
  t.equal(closed.code, 1002);
  await other.ping();
});

t.test(
  "text that is not UTF-8, and a message of more than twice the limit, end with a bare 1006",
  async (t) => {
    for (const send of [
      (client: RawClient) => client.sendText(Buffer.from([0xff, 0xfe, 0xc0])),
      (client: RawClient) => client.sendBytes(new Uint8Array(2 * LIMITS.frameBytesMax + 1)),
    ]) {
      const client = await RawClient.connect(t, broker.url);
      send(client);
      const { code } = await inTime(client.closed, "the close");
      t.equal(code, 1006);
    }
  },
);

t.test("WebSocket frames that break its own rules end that connection", async (t) => {
  const payload = Buffer.from(frameBytes("HELLO", helloFields()));
  const shapes: Record<string, Buffer> = {
    "with a reserved bit": webSocketFrame(payload, { reservedBits: 4 }),
    "of a reserved opcode": webSocketFrame(payload, { opcode: 0xb }),
    "a continuation of nothing": webSocketFrame(payload, { opcode: 0, reservedBits: 1 }),
    "a length of 2^62": webSocketFrame(payload, { statedLength: 2n ** 62n }),
    "a control frame of 200 bytes": webSocketFrame(new Uint8Array(200), { opcode: 9 }),
    "no WebSocket frame at all": Buffer.from("GET / HTTP/1.1\r\n\r\n".repeat(20)),
  };
  for (const [title, bytes] of Object.entries(shapes)) {
    const socket = await RawSocket.upgrade(t, broker.port);
    socket.write(bytes);
    await socket.whenClosed();
    t.pass(title);
  }
  const endless = await RawSocket.upgrade(t, broker.port);
  const part = new Uint8Array(1024 * 1024);
  endless.write(webSocketFrame(part, { isFinal: false }));
  for (let i = 0; i < 8; i += 1) endless.write(webSocketFrame(part, { opcode: 0, isFinal: false }));
  await endless.whenClosed();
  t.pass("a message in parts without an end");
  await fragments(t, payload);
});

async function fragments(t: Test, payload: Buffer): Promise<void> {
  const socket = await RawSocket.upgrade(t, broker.port);
  const before = socket.received.length;
  for (let i = 0; i < payload.length; i += 1) {
    const isFirst = i === 0;
    const isFinal = i === payload.length - 1;
    socket.write(webSocketFrame(payload.subarray(i, i + 1), { opcode: isFirst ? 2 : 0, isFinal }));
  }
  // The WELCOME's name for the broker.
  while (!socket.received.subarray(before).includes("millrace/")) await new Promise(setImmediate);
  t.pass("while a HELLO in parts of a byte is understood");
  socket.end();
}

t.test("connections that are no WebSockets", async (t) => {
  const garbage = await RawSocket.connect(t, broker.port);
  garbage.write(Buffer.alloc(100_000, 0x80));
  await garbage.whenClosed();
  const half = await RawSocket.connect(t, broker.port);
  half.write("GET / HTTP/1.1\r\nHost: x\r\n");
  half.end();
  await half.whenClosed();
  const huge = await RawSocket.connect(t, broker.port);
  huge.write(`GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${"x".repeat(1_000_000)}`);
  await huge.whenClosed();
  const plain = await httpGet(broker.port, "/");
  t.ok(plain.status >= 400 && plain.status < 500, `GET / without an upgrade: ${plain.status}`);
  t.equal((await httpGet(broker.port, "/healthz", {}, "DELETE")).status, 405);
  t.equal((await httpGet(broker.port, `/${"p".repeat(2000)}`)).status, 404);
  const upgrade = {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version": "13",
  };
  t.equal((await httpGet(broker.port, "/", upgrade)).status, 101);
});

t.test("the others have noticed nothing of all that", (t) => witness.check(t, "after bad handshakes"));

t.test("a client that says nothing is closed", async (t) => {
  const { error, closed } = await silent.refusal();
  t.match(error, { name: "HELLO_TIMEOUT", code: 8 });
  t.equal(closed.code, 1008);
});
