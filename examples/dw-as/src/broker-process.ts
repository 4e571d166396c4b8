import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** A broker in a process of its own. */
export interface BrokerProcess {
  readonly url: string;
  readonly process: ChildProcess;
}

/** Runs `millrace serve` on a free port with its data in `folder`; resolves once it listens. */
export async function startBroker(folder: string): Promise<BrokerProcess> {
  const command = fileURLToPath(
    new URL("./bin/millrace.js", import.meta.resolve("@millrace/cli/package.json")),
  );
  const args = [command, "serve", "--port", "0", "--data", folder, "--log-format", "json"];
  const broker = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of createInterface({ input: broker.stdout })) {
    const event = JSON.parse(line) as { readonly event: string; readonly url?: string };
    if (event.event === "listening" && event.url !== undefined) {
      broker.stdout.resume();
      return { url: event.url, process: broker };
    }
  }
  throw new Error("the broker did not start");
}
