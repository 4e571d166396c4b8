import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";

const UPGRADE = {
  Connection: "Upgrade",
  Upgrade: "websocket",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
};

// What settings come to is tested with the command; here, that those of a file and of variables reach the process and its broker.
t.test("a file and variables", async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, "etc", "millrace.yaml");
  mkdirSync(join(folder, "etc"));
  writeFileSync(file, "allow-origin: https://shop.example\nport: 1\nprot: 7\n");
  const options = { dataDir: join(folder, "data"), env: { MILLRACE_CONFIG: file } };
  t.match(await BrokerProcess.refused(t, options), {
    code: 1,
    message: `error CONFIG_INVALID: ${file}:3:1: there is no key "prot"; is port meant?`,
  });

  writeFileSync(file, "allow-origin: https://shop.example\nport: 1\n");
  const broker = await BrokerProcess.start(t, options);
  t.not(broker.port, 1, "the command line goes first");
  const status = async (origin: string): Promise<number> =>
    (await broker.get("/", { ...UPGRADE, Origin: origin })).status;
  t.equal(await status("https://shop.example"), 101);
  t.equal(await status("https://other.example"), 403);
  await broker.stop();
});
