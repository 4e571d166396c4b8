import { createServer } from "node:net";
import t, { type Test } from "tap";
import { WebSocket } from "ws";
import type { HttpReply, Listener, ListenerHandler, Socket, SocketHandler } from "../src/listener.ts";
import { listenWithUws, nativeModuleMissing } from "../src/uws-listener.ts";

/** A handler whose hooks can be told to throw. */
class ThrowingHandler implements ListenerHandler {
  throwing: ReadonlySet<string> = new Set();
  readonly failures: string[] = [];
  readonly events: string[] = [];
  reply: HttpReply | undefined;
  socket: Socket | undefined;

  upgrade(): HttpReply | undefined {
    this.#maybeThrow("upgrade");
    return this.reply;
  }

  open(socket: Socket): SocketHandler {
    this.#maybeThrow("open");
    this.socket = socket;
    return {
      onMessage: (bytes) => {
        this.events.push(`message ${bytes.length}`);
        this.#maybeThrow("message");
        socket.send(bytes);
      },
      onText: () => {
        this.#maybeThrow("text");
        socket.end(1003, "TEXT_FRAME");
      },
      onDrain: () => {
        this.events.push("drain");
        this.#maybeThrow("drain");
      },
      onClose: (code) => {
        this.events.push(`close ${code}`);
        this.#maybeThrow("close");
      },
      onFailure: () => {
        this.#maybeThrow("failure");
        socket.end(1011, "INTERNAL");
      },
    };
  }

  http(): HttpReply {
    this.#maybeThrow("http");
    return { status: 200, body: { fine: true }, headers: { "x-test": "1" } };
  }

  failed(hook: string): void {
    this.failures.push(hook);
    this.#maybeThrow("failed");
  }

  #maybeThrow(hook: string): void {
    if (this.throwing.has(hook)) throw new Error(`${hook} throws`);
  }
}

async function listen(t: Test, handler: ListenerHandler): Promise<Listener> {
  const listener = await listenWithUws({ host: "127.0.0.1", port: 0 }, handler);
  t.teardown(() => listener.close());
  return listener;
}

async function connect(listener: Listener): Promise<{ socket: WebSocket; closed: Promise<number> }> {
  const socket = new WebSocket(`ws://127.0.0.1:${listener.port}`);
  const closed = new Promise<number>((resolve) => socket.on("close", resolve));
  await new Promise<void>((resolve, reject) => {
    socket.on("open", resolve);
    socket.on("unexpected-response", (_request, response) => reject(new Error(`${response.statusCode}`)));
    socket.on("error", reject);
  });
  return { socket, closed };
}

t.test("every hook may throw, and the process lives", async (t) => {
  const handler = new ThrowingHandler();
  const listener = await listen(t, handler);
  const url = `http://127.0.0.1:${listener.port}/`;
  // Also when the log that is told of it throws.
  for (const also of [[], ["failed"], ["failed", "failure"]]) {
    const throwing = (hook: string): void => {
      handler.throwing = new Set([hook, ...also]);
      handler.failures.length = 0;
    };
    throwing("http");
    const response = await fetch(url);
    t.equal(response.status, 500);
    t.match(await response.json(), { error: "INTERNAL" });
    t.same(handler.failures, ["http"]);

    throwing("upgrade");
    await t.rejects(connect(listener), { message: "500" });
    t.same(handler.failures, ["upgrade"]);

    throwing("open");
    t.equal(await (await connect(listener)).closed, 1011);
    t.equal(handler.failures[0], "open");

    throwing("message");
    const message = await connect(listener);
    message.socket.send(Buffer.of(1));
    t.equal(await message.closed, 1011);
    t.equal(handler.failures[0], "message");

    throwing("text");
    const text = await connect(listener);
    text.socket.send("x");
    t.equal(await text.closed, 1011);

    throwing("close");
    const close = await connect(listener);
    close.socket.close();
    await close.closed;
    t.equal(handler.failures[0], "close");
  }
  handler.throwing = new Set();
  const fine = await fetch(url);
  t.equal(fine.status, 200);
  t.equal(fine.headers.get("x-test"), "1");
  t.equal(fine.headers.get("cache-control"), "no-store");
});

t.test("a throw in drain closes that connection", async (t) => {
  const handler = new ThrowingHandler();
  const listener = await listen(t, handler);
  const slow = await connect(listener);
  slow.socket.pause();
  const chunk = new Uint8Array(1_000_000);
  let sends = 0;
  while (handler.socket?.bufferedAmount() === 0 && sends < 100) {
    handler.socket.send(chunk);
    sends += 1;
  }
  t.ok((handler.socket?.bufferedAmount() ?? 0) > 0, `buffered after ${sends} MB`);
  handler.throwing = new Set(["drain"]);
  slow.socket.resume();
  await slow.closed;
  t.equal(handler.failures[0], "drain");
});

t.test("a socket may be used after its close", async (t) => {
  const handler = new ThrowingHandler();
  const listener = await listen(t, handler);
  const client = await connect(listener);
  handler.socket?.end(1000, "x".repeat(500));
  handler.socket?.end(1000, "again");
  handler.socket?.close();
  t.equal(handler.socket?.send(Buffer.of(1)), -1);
  t.equal(handler.socket?.bufferedAmount(), 0);
  t.equal(await client.closed, 1000);
  t.same(handler.events, ["close 1000"]);
});

t.test("an upgrade is refused with the handler's answer", async (t) => {
  const handler = new ThrowingHandler();
  handler.reply = { status: 403, body: { no: true } };
  const listener = await listen(t, handler);
  await t.rejects(connect(listener), { message: "403" });
});

t.test("a taken port, one that is not allowed, and an address of another machine have names", async (t) => {
  const handler = new ThrowingHandler();
  const listener = await listen(t, handler);
  await t.rejects(listenWithUws({ host: "127.0.0.1", port: listener.port }, handler), {
    code: "PORT_IN_USE",
    details: { port: listener.port },
  });
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const address = other.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  await t.rejects(listenWithUws({ host: "127.0.0.1", port }, handler), { code: "PORT_IN_USE" });
  other.close();
  // TEST-NET-1 belongs to nobody.
  await t.rejects(listenWithUws({ host: "192.0.2.1", port: 0 }, handler), { code: "ADDRESS_NOT_AVAILABLE" });
  await t.rejects(listenWithUws({ host: "no-such-host.invalid", port: 0 }, handler), {
    code: "ADDRESS_NOT_AVAILABLE",
  });
  if (process.getuid?.() !== 0 && process.platform === "linux") {
    await t.rejects(listenWithUws({ host: "127.0.0.1", port: 1 }, handler), { code: "PORT_FORBIDDEN" });
  }
});

t.test("stopAccepting refuses new connections and keeps the open ones", async (t) => {
  const handler = new ThrowingHandler();
  const listener = await listen(t, handler);
  const client = await connect(listener);
  listener.stopAccepting();
  listener.stopAccepting();
  await t.rejects(connect(listener));
  const echoed = new Promise((resolve) => client.socket.once("message", resolve));
  client.socket.send(Buffer.of(1, 2));
  t.same(await echoed, Buffer.of(1, 2));
  listener.close();
  await client.closed;
});

t.test("a module that cannot be loaded says what it needs", async (t) => {
  const error = nativeModuleMissing(new Error("cannot open shared object"));
  t.match(error, {
    code: "NATIVE_MODULE_MISSING",
    details: { platform: process.platform, node: process.version },
  });
  t.match(error.message, /glibc/);
  t.match(error.message, new RegExp(process.platform));
});

t.test("only what the Node 20 binary exports is used", async (t) => {
  // The package holds two releases of uWebSockets.js; what one lacks must not be called on the other.
  const { readFileSync } = await import("node:fs");
  const source = readFileSync(new URL("../../src/uws-listener.ts", import.meta.url), "utf8");
  for (const name of ["getRemotePort", "collectBody", "onDataV2", "publish("]) {
    t.notOk(source.includes(name), name);
  }
});

t.test("a port can be shared by those who mean to, and by nobody else", async (t) => {
  const handler = new ThrowingHandler();
  // uWS shares no port that it was left to choose.
  const chosen = await listenWithUws({ host: "127.0.0.1", port: 0 }, handler);
  const { port } = chosen;
  chosen.close();
  const first = await listenWithUws({ host: "127.0.0.1", port, shared: true }, handler);
  t.teardown(() => first.close());
  const second = await listenWithUws({ host: "127.0.0.1", port, shared: true }, handler);
  t.equal(second.port, port);
  second.close();
  await t.rejects(listenWithUws({ host: "127.0.0.1", port }, handler), { code: "PORT_IN_USE" });
  const own = await listenWithUws({ host: "127.0.0.1", port: 0 }, handler);
  t.teardown(() => own.close());
  t.not(own.port, port, "one handler on two ports");
});
