import { readFileSync } from "node:fs";
import t from "tap";
import { roomCheck, sharedVolumeCheck, useCheck } from "../../src/doctor/folder-checks.ts";
import { openFileLimit, openFilesCheck } from "../../src/doctor/open-files-check.ts";
import { takenPortCheck } from "../../src/doctor/port-check.ts";
import { nodeVersionCheck, platformCheck } from "../../src/doctor/version-checks.ts";

t.test("Node is one of those that the packages say", async (t) => {
  // dist/test/doctor -> package.json
  const text = readFileSync(new URL("../../../package.json", import.meta.url), "utf8");
  t.equal(JSON.parse(text).engines.node, "^20.19.0 || ^22.12.0 || >=24", "as below and in the check");
  for (const version of ["20.19.0", "20.20.2", "22.12.0", "22.23.1", "24.0.0", "26.1.0"]) {
    t.match(nodeVersionCheck(version), { state: "ok", sentence: `Node ${version} on ` }, version);
  }
  for (const version of ["18.20.0", "20.18.3", "21.7.0", "22.11.0", "23.11.0"]) {
    t.match(nodeVersionCheck(version), { state: "failed", advice: /^use Node 20\.19/ }, version);
  }
  t.equal(platformCheck("linux"), undefined);
  t.match(platformCheck("darwin"), { state: "warning" });
});

t.test("open files are compared with shards and connections", async (t) => {
  t.match(openFilesCheck(65_536, 16, 20_000), { state: "ok", sentence: "65536 a process" });
  t.match(openFilesCheck(Number.POSITIVE_INFINITY, 1024, 20_000), { state: "ok" });
  t.match(openFilesCheck(20_000, 16, 20_000), { state: "ok", sentence: /room for some 19288 connections/ });
  t.match(openFilesCheck(undefined, 16, 20_000), { state: "ok" });
  const few = openFilesCheck(1_024, 4, 20_000);
  t.match(few, {
    state: "warning",
    sentence: /^1024 a process: room for some 696 connections/,
    advice: /ulimit/,
  });
  t.match(openFilesCheck(1_024, 64, 20_000), { state: "failed", sentence: /too few for 64 shards/ });
  if (process.platform === "linux") {
    t.ok((openFileLimit(undefined) ?? 0) > 0);
    t.equal(openFileLimit(process.pid), openFileLimit(undefined));
    t.equal(openFileLimit(2 ** 30), undefined, "a process that is gone");
  }
});

t.test("the volume: room and kind", async (t) => {
  const gib = 1024 ** 3;
  t.match(roomCheck("ext4", 100 * gib, 50 * gib, gib), {
    state: "ok",
    sentence: "ext4, 50.0 GiB of 100.0 GiB free",
  });
  t.match(roomCheck("ext4", 100 * gib, 1.5 * gib, gib), { state: "warning", advice: /make room/ });
  t.match(roomCheck("ext4", 100 * gib, gib / 2, gib), {
    state: "warning",
    sentence: /publishes are refused/,
  });
  t.match(roomCheck("overlay", 0, 0, 0), { state: "ok", sentence: /does not say/ });
  t.match(sharedVolumeCheck("nfs", "yes"), { state: "failed", sentence: /network file system/ });
  t.equal(sharedVolumeCheck("ext4", "no"), undefined);
  if (process.platform === "linux") t.match(sharedVolumeCheck("fuse", "perhaps"), { state: "warning" });
});

t.test("who runs on the folder", async (t) => {
  const holder = { pid: 7, version: "0.1.0" };
  t.match(useCheck("d", { holder: undefined, nodePids: [] }), {
    state: "ok",
    sentence: "d: no broker runs on it",
  });
  t.match(useCheck("d", { holder, nodePids: [] }), {
    state: "ok",
    sentence: "d: process 7 runs on it, version 0.1.0",
  });
  t.match(useCheck("d", { holder, nodePids: [8, 9] }), {
    state: "ok",
    sentence: /version 0\.1\.0, with 2 nodes of a cluster \(process 8, process 9\)$/,
  });
  t.match(useCheck("d", { holder: undefined, nodePids: [8] }), {
    state: "warning",
    sentence: /^d: in use by 1 node of a cluster \(process 8\) without a supervisor/,
    advice: /millrace serve/,
  });
});

t.test("a port that is taken: whose is it?", async (t) => {
  const at = { host: "127.0.0.1", port: 7070 };
  const owner = { pid: 7, name: "node" };
  const owners = [owner, { ...owner, pid: 8 }];
  t.match(takenPortCheck(at, [owner], true, [7]), {
    state: "ok",
    sentence: /is served by process 7 \(node\)$/,
  });
  t.match(takenPortCheck(at, owners, false, [6, 7, 8]), {
    state: "ok",
    sentence: /is served by process 7 \(node\), process 8 \(node\)$/,
  });
  t.match(takenPortCheck(at, [], true, []), { state: "ok", sentence: "127.0.0.1 port 7070 is served" });
  t.match(takenPortCheck(at, [owner], true, undefined), {
    state: "failed",
    sentence: "another Millrace broker listens on 127.0.0.1 port 7070: process 7 (node)",
  });
  t.match(takenPortCheck(at, [owner], true, [5]), { state: "failed", sentence: /^another Millrace broker/ });
  t.match(takenPortCheck(at, [owner], false, [5]), { state: "failed", sentence: /^another program/ });
  t.match(takenPortCheck(at, [], false, undefined), { state: "failed", advice: /ss -ltnp/ });
});
