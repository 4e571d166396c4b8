import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import t from "tap";
import { GuestNode, socketPath, until } from "../harness/linked-nodes.ts";

t.test("a stopped owner is dead until it goes on; a killed one until another listens there", async (t) => {
  const path = socketPath(t);
  const start = async (): Promise<{
    pid: number;
    kill: (signal: NodeJS.Signals) => void;
    gone: Promise<unknown>;
  }> => {
    const child = spawn(
      process.execPath,
      [fileURLToPath(new URL("../harness/owner-process.js", import.meta.url)), path],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    const gone = once(child, "exit");
    t.teardown(() => child.kill("SIGKILL"));
    await once(child.stdout, "data");
    return { pid: child.pid as number, kill: (signal) => child.kill(signal), gone };
  };
  const owner = await start();
  const guest = GuestNode.dial(t, { path });
  await until(() => guest.link.isUp);
  t.same(await guest.link.call("echo", [1]), [1]);
  owner.kill("SIGSTOP");
  const call = guest.link.call("echo", [2]);
  await t.rejects(call, { code: "SHARD_RESTARTED" }, "it is not answered, and the link falls");
  t.match(guest.link.status().lastError, /nothing was heard/);
  t.notOk(guest.link.isUp);
  // Dials that nobody accepts are left behind: what the owner finds when it goes on are closed connections, and a live one.
  await new Promise((resolve) => setTimeout(resolve, 300));
  owner.kill("SIGCONT");
  await until(() => guest.link.isUp);
  t.same(await guest.link.call("echo", [3]), [3]);
  t.equal(guest.link.status().run, owner.pid);
  owner.kill("SIGKILL");
  await owner.gone;
  await until(() => !guest.link.isUp);
  const next = await start();
  await until(() => guest.link.isUp);
  t.equal(guest.link.status().run, next.pid);
  t.same(await guest.link.call("echo", [4]), [4]);
});
