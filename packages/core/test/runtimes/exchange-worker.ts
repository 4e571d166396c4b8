import { parentPort, workerData } from "node:worker_threads";
import { Echo, type ExchangeMemory, Origin, runBlocking } from "./exchange.ts";

/** One party of an exchange in a worker of node:worker_threads. Pokes and the outcome go to the parent as messages. */
export interface ExchangeWorkerData {
  readonly role: "origin" | "echo";
  readonly memory: ExchangeMemory;
}

const { role, memory } = workerData as ExchangeWorkerData;
const poke = (): void => parentPort?.postMessage("poke");
runBlocking(role === "origin" ? new Origin(memory, poke) : new Echo(memory, poke));
parentPort?.postMessage("done");
