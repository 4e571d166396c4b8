import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Client } from "@millrace/client";
import t from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { REPOSITORY } from "../harness/repository.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { inTime } from "../harness/waiting.ts";

type Example = (client: Client, scope: Readonly<Record<string, unknown>>) => Promise<void>;

const guide = readFileSync(join(REPOSITORY, "docs/guides/subscriptions.md"), "utf8");
const AsyncFunction = (async () => {}).constructor as new (...lines: string[]) => Example;

const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t) });

/** What the examples call of their own. */
const names = "{ render, count, console }";
const scope = { render: async () => {}, count: async () => {}, console: { log: () => {}, warn: () => {} } };

const sections = guide.split(/^##+ /m).slice(1);
for (const section of sections) {
  const title = section.slice(0, section.indexOf("\n"));
  for (const [, code = ""] of section.matchAll(/```js\n(.*?)```/gs)) {
    t.test(`the example of "${title}" runs`, async (t) => {
      const client = await connectedClient(t, broker.url, { closeTimeoutMs: 5_000 });
      await inTime(new AsyncFunction("client", names, code)(client, scope), "the example's end");
      await client.close();
    });
  }
}

t.ok(guide.includes("```js"), "there are examples");
