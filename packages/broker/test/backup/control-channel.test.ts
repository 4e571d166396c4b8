import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { BackupError } from "../../src/backup/backup-error.ts";
import { ControlClient } from "../../src/backup/control-client.ts";
import { type ControlCommand, ControlServer } from "../../src/backup/control-server.ts";
import { BROKER_LIMITS } from "../../src/limits.ts";
import { SILENT_LOGGER } from "../../src/logger.ts";
import { FolderLock } from "../../src/node/folder-lock.ts";

interface Held {
  readonly dataDir: string;
  /** Once. */
  release(): Promise<void>;
  /** A connection without any manners; what it got is `said`. */
  peer(): Promise<Peer>;
}

interface Peer {
  readonly socket: Socket;
  readonly lines: string[];
  readonly ended: Promise<unknown>;
}

/** What `wait` got; undefined: the peer has gone. */
const heard: (string | undefined)[] = [];

const COMMANDS = new Map<string, ControlCommand>([
  ["echo", async (channel, request) => void channel.send({ result: request.text ?? null })],
  [
    "refuse",
    async () => {
      throw new BackupError("BACKUP_RUNNING", "another one");
    },
  ],
  [
    "break",
    async () => {
      throw new TypeError("a defect");
    },
  ],
  [
    "wait",
    async (channel) => {
      channel.send({ progress: {} });
      const line = await channel.next(10_000);
      heard.push(line);
      channel.send({ result: line });
    },
  ],
]);

async function held(t: Test, requestTimeoutMs: number = 5_000): Promise<Held> {
  const dataDir = mkdtempSync(join(tmpdir(), "millrace-control-"));
  const lock = await FolderLock.acquire(dataDir, "1.2.3");
  const server = new ControlServer({ commands: COMMANDS, logger: SILENT_LOGGER, requestTimeoutMs });
  lock.receive((socket) => server.accept(socket));
  let released: Promise<void> | undefined;
  const release = (): Promise<void> => {
    released ??= lock.release();
    return released;
  };
  t.teardown(async () => {
    await release();
    rmSync(dataDir, { recursive: true, force: true });
  });
  const peer = async (): Promise<Peer> => {
    const socket = connect(join(dataDir, readdirSync(dataDir)[0] as string));
    t.teardown(() => socket.destroy());
    const lines: string[] = [];
    let rest = "";
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => {
      const parts = (rest + text).split("\n");
      rest = parts.pop() as string;
      lines.push(...parts);
    });
    socket.on("error", () => {});
    const ended = new Promise((resolve) => socket.on("close", resolve));
    await once(socket, "connect");
    return { socket, lines, ended };
  };
  return { dataDir, release, peer };
}

const HOLDER = `holding pid=${process.pid} version=1.2.3`;

t.test("the lock's answer comes first, and is all for somebody who asks nothing", async (t) => {
  const { dataDir, peer } = await held(t, 50);
  const { lines, ended } = await peer();
  await ended;
  t.same(lines, [HOLDER]);
  await t.rejects(FolderLock.acquire(dataDir, "1.2.3"), { code: "DATA_DIR_IN_USE", message: HOLDER });
});

t.test("nobody but the owner may connect", { skip: process.platform === "win32" }, async (t) => {
  const { dataDir } = await held(t);
  t.equal(statSync(join(dataDir, readdirSync(dataDir)[0] as string)).mode & 0o777, 0o600);
});

t.test("a command is carried out, its error answered with its code", async (t) => {
  const { dataDir, peer } = await held(t);
  const { socket, lines, ended } = await peer();
  socket.write('{"version":1,"command":"echo","text":"möglich"}\n');
  await ended;
  t.same(lines.slice(1), ['{"result":"möglich"}']);
  const client = await ControlClient.request(dataDir, "refuse");
  t.equal(client?.holder, HOLDER);
  await t.rejects(client?.next(1_000) as Promise<unknown>, {
    code: "BACKUP_RUNNING",
    message: "another one",
  });
  const broken = await ControlClient.request(dataDir, "break");
  await t.rejects(broken?.next(1_000) as Promise<unknown>, { code: "INTERNAL", message: "a defect" });
});

t.test("rubbish is answered with what is wrong about it, and the connection ends", async (t) => {
  const { peer } = await held(t);
  const cases: readonly (readonly [string | Buffer, string])[] = [
    ["hello\n", "BAD_REQUEST"],
    ["\n", "BAD_REQUEST"],
    ["[1]\n", "BAD_REQUEST"],
    ["null\n", "BAD_REQUEST"],
    [Buffer.from([0xff, 0x00, 0x80, 0x0a]), "BAD_REQUEST"],
    ["{}\n", "UNSUPPORTED_VERSION"],
    ['{"version":2,"command":"echo"}\n', "UNSUPPORTED_VERSION"],
    ['{"version":1}\n', "UNKNOWN_COMMAND"],
    ['{"version":1,"command":"constructor"}\n', "UNKNOWN_COMMAND"],
    ['{"version":1,"command":["echo"],"command":"no"}\n', "UNKNOWN_COMMAND"],
    [`{"version":1,"command":"${"x".repeat(BROKER_LIMITS.controlLineBytesMax)}"}\n`, "LINE_TOO_LONG"],
  ];
  for (const [bytes, code] of cases) {
    const { socket, lines, ended } = await peer();
    socket.write(bytes);
    await ended;
    const { error } = JSON.parse(lines[1] ?? "{}") as { error?: { code: string } };
    t.equal(error?.code, code, bytes.toString().slice(0, 40));
  }
});

t.test("a line without an end does not fill the memory", async (t) => {
  const { peer } = await held(t);
  const { socket, lines, ended } = await peer();
  const chunk = Buffer.alloc(64 * 1024, "x");
  const pour = (): void => {
    while (!socket.destroyed && socket.write(chunk));
    if (!socket.destroyed) socket.once("drain", pour);
  };
  pour();
  await ended;
  t.match(lines[1] ?? "LINE_TOO_LONG", "LINE_TOO_LONG");
  t.ok(socket.bytesWritten < 8 * 1024 * 1024, `it got rid of ${socket.bytesWritten} bytes`);
});

t.test("a slow peer is served when it is done in time, and left when it is not", async (t) => {
  const { peer } = await held(t, 400);
  const slow = await peer();
  for (const letter of '{"version":1,"command":"echo","text":"slow"}\n') {
    slow.socket.write(letter);
    await sleep(2);
  }
  await slow.ended;
  t.same(slow.lines.slice(1), ['{"result":"slow"}']);
  const stuck = await peer();
  stuck.socket.write('{"version":1,"comm');
  await stuck.ended;
  t.same(stuck.lines, [HOLDER]);
});

t.test("two lines at once are taken one after the other; a peer that goes is noticed", async (t) => {
  const { peer } = await held(t);
  const both = await peer();
  both.socket.write('{"version":1,"command":"wait"}\nnext\n');
  await both.ended;
  t.same(both.lines.slice(1), ['{"progress":{}}', '{"result":"next"}']);
  const gone = await peer();
  gone.socket.write('{"version":1,"command":"wait"}\n');
  gone.socket.end();
  await gone.ended;
  t.same(heard, ["next", undefined]);
});

t.test("several are served at a time, but not any number", async (t) => {
  const { peer } = await held(t);
  const max = BROKER_LIMITS.controlConnectionsMax;
  const waiting = await Promise.all(Array.from({ length: max }, () => peer()));
  for (const { socket } of waiting) socket.write('{"version":1,"command":"wait"}\n');
  await sleep(50);
  const surplus = await peer();
  await surplus.ended;
  t.match(surplus.lines[1], "TOO_MANY_CONNECTIONS");
  for (const { socket } of waiting) socket.write("go on\n");
  await Promise.all(waiting.map(({ ended }) => ended));
  t.same(new Set(waiting.map(({ lines }) => lines[2])), new Set(['{"result":"go on"}']));
  const { socket, lines, ended } = await peer();
  socket.write('{"version":1,"command":"echo"}\n');
  await ended;
  t.same(lines.slice(1), ['{"result":null}'], "there is room again");
});

t.test("the lock is released although somebody goes on talking", async (t) => {
  const { dataDir, release } = await held(t);
  const client = await ControlClient.request(dataDir, "wait");
  t.same(await client?.next(1_000), { progress: {} });
  await release();
  await t.rejects(client?.next(1_000) as Promise<unknown>, { code: "BROKER_GONE" });
  t.equal(await ControlClient.request(dataDir, "wait"), undefined, "nobody holds the folder");
  const again = await FolderLock.acquire(dataDir, "1.2.3");
  t.teardown(() => again.release());
});
