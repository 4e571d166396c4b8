import type { MessagePort } from "node:worker_threads";
import { describeError, serveCommandsOn } from "../processes/child-commands.ts";
import { type GeneratorCommands, generatorCommands } from "./generator-commands.ts";

/** Entry of a generator in a thread of the pool: one task of the pool is one generator's life. Ends with its port. */
export default async function runGenerator({ port }: { readonly port: MessagePort }): Promise<void> {
  const ended = new Promise<void>((resolve) => port.once("close", () => resolve()));
  const commands = generatorCommands("thread", (error) =>
    port.postMessage({ failure: describeError(error) }),
  );
  serveCommandsOn<GeneratorCommands>(
    {
      send: (reply) => port.postMessage(reply),
      onRequest: (listener) => port.on("message", listener),
    },
    commands,
  );
  await ended;
}
