import { Echo, type ExchangeMemory, Origin, runBlocking } from "../runtimes/exchange.ts";

/** One party of an exchange in a Web Worker. Pokes and the outcome go to the page as messages. */
export interface PartyMessage {
  readonly role: "origin" | "echo";
  readonly memory: ExchangeMemory;
}

/** What this file uses of a DedicatedWorkerGlobalScope. */
const scope = globalThis as unknown as {
  onmessage: (event: { data: PartyMessage }) => void;
  postMessage(message: string): void;
};

scope.onmessage = ({ data: { role, memory } }) => {
  try {
    const poke = (): void => scope.postMessage("poke");
    runBlocking(role === "origin" ? new Origin(memory, poke) : new Echo(memory, poke));
    scope.postMessage("done");
  } catch (error) {
    scope.postMessage(`${role}: ${String(error)}`);
  }
};
