import { parentPort, workerData } from "node:worker_threads";
import type { ChannelDescriptor } from "../../src/index.ts";
import { echoOverChannel } from "./channel-exchange.ts";
import { Echo, type ExchangeMemory, Origin, runBlocking } from "./exchange.ts";

/** What a worker of node:worker_threads does. Pokes and the outcome go to the parent as messages. */
export type ExchangeWorkerData =
  | { readonly role: "origin" | "echo"; readonly memory: ExchangeMemory }
  | { readonly role: "channel"; readonly channel: ChannelDescriptor };

const data = workerData as ExchangeWorkerData;
const poke = (): void => parentPort?.postMessage("poke");
if (data.role === "channel") echoOverChannel(data.channel);
else runBlocking(data.role === "origin" ? new Origin(data.memory, poke) : new Echo(data.memory, poke));
parentPort?.postMessage("done");
