import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MillraceError } from "@millrace/protocol";
import t, { type Test } from "tap";
import type { HelloResult } from "../../src/cluster/control-messages.ts";
import { type NodeCommands, NodeControl } from "../../src/cluster/node-control.ts";
import { BROKER_LIMITS } from "../../src/limits.ts";

const HELLO: HelloResult = {
  nodeId: 1,
  run: 7,
  pid: 8,
  version: "0",
  protocol: 1,
  peer: { path: "peer-1.sock" },
  url: "ws://a",
  shards: [],
  mapVersion: 0,
  ready: false,
};

interface Rig {
  readonly path: string;
  readonly control: NodeControl;
  readonly events: string[];
}

async function rig(t: Test, commands: Partial<NodeCommands> = {}, silenceMsMax = 5_000): Promise<Rig> {
  const folder = mkdtempSync(join(tmpdir(), "millrace-control-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "node-1.sock");
  const events: string[] = [];
  const control = await NodeControl.listen({
    path,
    hello: () => HELLO,
    commands: {
      map: () => ({ version: 1 }),
      open: async () => ({ epoch: 1, recoveryMs: 1 }),
      close: async () => ({}),
      commit: async () => ({ position: 1 }),
      status: () => ({ fine: true }),
      drain: () => ({}),
      ...commands,
    },
    logger: { log: (_level, event) => void events.push(event) },
    silenceMsMax,
  });
  t.teardown(() => control.close());
  return { path, control, events };
}

/** A connection that reads lines. */
class Line {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  readonly #lines: unknown[] = [];
  #wake: (() => void) | undefined;
  #text = "";
  #isClosed = false;

  constructor(t: Test, path: string) {
    this.socket = connect(path);
    this.socket.setEncoding("utf8");
    this.socket.on("error", () => {});
    this.socket.on("data", (chunk: string) => {
      this.#text += chunk;
      for (let end = this.#text.indexOf("\n"); end >= 0; end = this.#text.indexOf("\n")) {
        this.#lines.push(JSON.parse(this.#text.slice(0, end)));
        this.#text = this.#text.slice(end + 1);
      }
      this.#wake?.();
    });
    this.closed = new Promise((resolve) => {
      this.socket.on("close", () => {
        this.#isClosed = true;
        this.#wake?.();
        resolve();
      });
    });
    t.teardown(() => this.socket.destroy());
  }

  send(line: string | object): void {
    this.socket.write(`${typeof line === "string" ? line : JSON.stringify(line)}\n`);
  }

  async next(): Promise<unknown> {
    while (this.#lines.length === 0 && !this.#isClosed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#lines.shift();
  }

  async ask(id: number, method: string, params: object = {}): Promise<unknown> {
    this.send({ id, method, params });
    return this.next();
  }
}

const GREETING = { protocol: 1, supervisorPid: 42 };

t.test("whoever says hello commands", async (t) => {
  const { path, control } = await rig(t);
  const line = new Line(t, path);
  t.match(await line.ask(1, "open", { shardId: 0 }), { id: 1, error: { code: "SUPERSEDED" } });
  t.same(await line.ask(2, "ping"), { id: 2, result: {} });
  t.same(await line.ask(3, "status"), { id: 3, result: { fine: true } });
  t.equal(control.commander, undefined);
  t.same(await line.ask(4, "hello", GREETING), { id: 4, result: HELLO });
  t.equal(control.commander, 42);
  t.match(await line.ask(5, "open", { shardId: 0 }), { id: 5, result: { epoch: 1 } });
  control.say("ready", {});
  t.same(await line.next(), { event: "ready", data: {} });
});

t.test("the newest hello counts, and the one before is told", async (t) => {
  const { path, control } = await rig(t);
  const first = new Line(t, path);
  await first.ask(1, "hello", GREETING);
  const second = new Line(t, path);
  await second.ask(1, "hello", { protocol: 1, supervisorPid: 43 });
  t.same(await first.next(), { event: "superseded", data: { supervisorPid: 43 } });
  t.match(await first.ask(2, "drain"), { error: { code: "SUPERSEDED" } });
  t.match(await first.ask(3, "status"), { result: { fine: true } });
  first.socket.destroy();
  await first.closed;
  t.match(await second.ask(2, "drain"), { result: {} });
  t.equal(control.commander, 43);
});

t.test("another protocol is refused", async (t) => {
  const { path } = await rig(t);
  const line = new Line(t, path);
  t.match(await line.ask(1, "hello", { protocol: 2, supervisorPid: 1 }), {
    error: { code: "UNSUPPORTED_VERSION" },
  });
  t.match(await line.ask(2, "hello", { protocol: 1 }), { error: { code: "BAD_REQUEST" } });
  t.match(await line.ask(3, "fly"), { error: { code: "UNKNOWN_METHOD" } });
  t.match(await line.ask(4, "toString"), { error: { code: "UNKNOWN_METHOD" } });
});

t.test("commands run at the same time, and say what went wrong", async (t) => {
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { path } = await rig(t, {
    open: async () => {
      await held;
      throw new MillraceError("JOURNAL_DAMAGED", "torn");
    },
  });
  const line = new Line(t, path);
  await line.ask(1, "hello", GREETING);
  line.send({ id: 2, method: "open", params: { shardId: 0 } });
  t.same(await line.ask(3, "ping"), { id: 3, result: {} });
  release();
  t.same(await line.next(), { id: 2, error: { code: "JOURNAL_DAMAGED", message: "torn" } });
});

t.test("who opens a shard that somebody else has opened meanwhile says so", async (t) => {
  const { path } = await rig(t, {
    open: async () => {
      throw new MillraceError("JOURNAL_FAILED", "another owner", { details: { reason: "fenced" } });
    },
  });
  const line = new Line(t, path);
  await line.ask(1, "hello", GREETING);
  t.same(await line.ask(2, "open", { shardId: 0 }), {
    id: 2,
    error: { code: "FENCED", message: "another owner" },
  });
});

t.test("rubbish ends the connection that it came by, and no other", async (t) => {
  const { path, events } = await rig(t);
  const good = new Line(t, path);
  await good.ask(1, "hello", GREETING);
  for (const rubbish of [
    "what?",
    "[]",
    "{}",
    '{"id":"1","method":"ping"}',
    '{"id":1,"method":"ping","params":[]}',
    "x".repeat(BROKER_LIMITS.nodeControlLineBytesMax + 2),
  ]) {
    const bad = new Line(t, path);
    bad.send(rubbish);
    t.match(await bad.next(), { id: null, error: { message: String } }, rubbish.slice(0, 40));
    await bad.closed;
  }
  t.same(await good.ask(2, "ping"), { id: 2, result: {} });
  t.equal(events.filter((event) => event === "node-control-refused").length, 6);
});

t.test("there are only so many connections, and who says nothing is not kept", async (t) => {
  const { path } = await rig(t, {}, 200);
  const lines = Array.from({ length: BROKER_LIMITS.controlConnectionsMax + 1 }, () => new Line(t, path));
  const last = lines.at(-1) as Line;
  t.match(await last.next(), { error: { code: "TOO_MANY_CONNECTIONS" } });
  await Promise.all(lines.map(({ closed }) => closed));
});

t.test("a supervisor that dies in the middle of a command does not stop it", async (t) => {
  let done = (): void => {};
  let begun = (): void => {};
  const finished = new Promise<void>((resolve) => {
    done = resolve;
  });
  const started = new Promise<void>((resolve) => {
    begun = resolve;
  });
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { path, control, events } = await rig(t, {
    open: async () => {
      begun();
      await held;
      done();
      return { epoch: 1, recoveryMs: 1 };
    },
  });
  const line = new Line(t, path);
  await line.ask(1, "hello", GREETING);
  line.send({ id: 2, method: "open", params: { shardId: 0 } });
  await started;
  line.socket.destroy();
  await line.closed;
  release();
  await finished;
  const next = new Line(t, path);
  t.same(await next.ask(1, "hello", { protocol: 1, supervisorPid: 43 }), { id: 1, result: HELLO });
  t.equal(control.commander, 43);
  t.ok(events.includes("supervisor-lost") || control.commander === 43);
});

t.test("two processes cannot be the same node, and a dead one's socket is taken over", async (t) => {
  const { path, control } = await rig(t);
  const options = {
    path,
    hello: () => HELLO,
    commands: {} as NodeCommands,
    logger: { log: () => {} },
  };
  await t.rejects(NodeControl.listen(options), { code: "DATA_DIR_IN_USE" });
  await control.close();
  t.notOk(existsSync(path));
  const next = await NodeControl.listen(options);
  t.teardown(() => next.close());
  t.ok(existsSync(path));
});
