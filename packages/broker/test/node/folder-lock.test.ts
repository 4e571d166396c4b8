import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { FolderLock } from "../../src/node/folder-lock.ts";

function folder(t: Test, ...names: string[]): string {
  const root = mkdtempSync(join(tmpdir(), "millrace-lock-"));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const path = join(root, ...names);
  mkdirSync(path, { recursive: true });
  return path;
}

/** A process that takes the lock, says so, and holds it until it is killed. */
async function holder(t: Test, dataDir: string, version: string): Promise<ChildProcess> {
  const module = JSON.stringify(new URL("../../src/node/folder-lock.js", import.meta.url).href);
  const script = `
    const { FolderLock } = await import(${module});
    try {
      await FolderLock.acquire(${JSON.stringify(dataDir)}, ${JSON.stringify(version)});
      console.log("held");
      setInterval(() => {}, 1000);
    } catch (error) {
      console.log(error.code);
    }`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  const [said] = (await once(child.stdout, "data")) as [Buffer];
  t.equal(said.toString().trim(), "held");
  return child;
}

t.test("a folder is locked once, and again after its release", async (t) => {
  const dataDir = folder(t);
  const lock = await FolderLock.acquire(dataDir, "1.2.3");
  await t.rejects(FolderLock.acquire(dataDir, "1.2.3"), {
    code: "DATA_DIR_IN_USE",
    message: new RegExp(`pid=${process.pid} version=1.2.3`),
  });
  await lock.release();
  await (await FolderLock.acquire(dataDir, "1.2.3")).release();
});

t.test("the holder in another process is named; once it is killed the lock is stale", async (t) => {
  const dataDir = folder(t);
  const child = await holder(t, dataDir, "9.9.9");
  await t.rejects(FolderLock.acquire(dataDir, "1.0.0"), {
    code: "DATA_DIR_IN_USE",
    message: new RegExp(`pid=${child.pid} version=9.9.9`),
    details: { dataDir },
  });
  child.kill("SIGKILL");
  await once(child, "exit");
  const lock = await FolderLock.acquire(dataDir, "1.0.0");
  await lock.release();
});

t.test("a holder that is stopped still holds", async (t) => {
  const dataDir = folder(t);
  const child = await holder(t, dataDir, "1.0.0");
  child.kill("SIGSTOP");
  await t.rejects(FolderLock.acquire(dataDir, "1.0.0"), {
    code: "DATA_DIR_IN_USE",
    message: /does not answer/,
  });
});

t.test("paths longer than a socket's address work", { skip: process.platform !== "linux" }, async (t) => {
  const dataDir = folder(t, "d".repeat(120), "e".repeat(120));
  const lock = await FolderLock.acquire(dataDir, "1.0.0");
  await t.rejects(FolderLock.acquire(dataDir, "1.0.0"), { code: "DATA_DIR_IN_USE" });
  await lock.release();
  const child = await holder(t, dataDir, "1.0.0");
  await t.rejects(FolderLock.acquire(dataDir, "1.0.0"), { code: "DATA_DIR_IN_USE" });
  child.kill("SIGKILL");
  await once(child, "exit");
  await (await FolderLock.acquire(dataDir, "1.0.0")).release();
});

t.test("a folder that is not there is refused", async (t) => {
  await t.rejects(FolderLock.acquire(join(folder(t), "missing"), "1.0.0"), {
    code: /ENOENT|DATA_DIR_UNUSABLE/,
  });
});

t.test("somebody who asks and never hangs up does not keep the lock from its release", async (t) => {
  const dataDir = folder(t);
  const lock = await FolderLock.acquire(dataDir, "1.0.0");
  const socket = connect({ path: join(dataDir, readdirSync(dataDir)[0] ?? ""), allowHalfOpen: true });
  t.teardown(() => socket.destroy());
  await once(socket, "data");
  const released = lock.release().then(() => "released");
  const waited = new Promise((resolve) => setTimeout(() => resolve("still waiting"), 1000));
  t.equal(await Promise.race([released, waited]), "released");
});

t.test("of many that take over a stale lock at once one gets it, and leaves nothing behind", async (t) => {
  const dataDir = folder(t);
  for (let round = 0; round < 5; round += 1) {
    const child = await holder(t, dataDir, "1.0.0");
    child.kill("SIGKILL");
    await once(child, "exit");
    const tries = await Promise.allSettled(
      Array.from({ length: 8 }, () => FolderLock.acquire(dataDir, "1.0.0")),
    );
    t.equal(tries.filter((result) => result.status === "fulfilled").length, 1);
    t.equal(readdirSync(dataDir).length, 1, "the holder's socket");
    for (const result of tries) {
      if (result.status === "rejected") t.equal(result.reason.code, "DATA_DIR_IN_USE");
      else await result.value.release();
    }
  }
  t.same(readdirSync(dataDir), []);
});
