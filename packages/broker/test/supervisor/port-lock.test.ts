import { once } from "node:events";
import { createServer } from "node:net";
import t from "tap";
import { PortLock } from "../../src/supervisor/port-lock.ts";
import { identityOf, isRunning } from "../../src/supervisor/process-identity.ts";

const HOST = "127.0.0.1";

t.test("a port is one supervisor's, also before anybody listens there", async (t) => {
  const lock = await PortLock.acquire(HOST, 0, false);
  await t.rejects(PortLock.acquire(HOST, lock.port, false), {
    code: "PORT_IN_USE",
    message: /another supervisor/,
  });
  const other = await PortLock.acquire(HOST, 0, false);
  t.not(other.port, lock.port);
  await other.release();
  await lock.release();
  const again = await PortLock.acquire(HOST, lock.port, false);
  await again.release();
});

t.test("where somebody listens it must be nodes of ours", async (t) => {
  const lock = await PortLock.acquire(HOST, 0, false);
  await lock.release();
  const server = createServer().listen(lock.port, HOST);
  t.teardown(() => server.close());
  await once(server, "listening");
  await t.rejects(PortLock.acquire(HOST, lock.port, false), {
    code: "PORT_IN_USE",
    message: /another program/,
  });
  const adopted = await PortLock.acquire(HOST, lock.port, true);
  await adopted.release();
  await t.rejects(PortLock.acquire("192.0.2.1", 0, false), { code: "ADDRESS_NOT_AVAILABLE" });
});

t.test("a process is told apart from another one of the same pid", async (t) => {
  const own = identityOf(process.pid);
  t.ok(own !== undefined && isRunning(own));
  t.equal(identityOf(2 ** 22 + 1), undefined);
  if (process.platform === "linux") t.notOk(isRunning({ pid: process.pid, startTime: "another boot/1" }));
});
