import type { ChannelDescriptor } from "../../src/index.ts";
import { echoOverChannel } from "../runtimes/channel-exchange.ts";
import { Echo, type ExchangeMemory, Origin, runBlocking } from "../runtimes/exchange.ts";

/** What a Web Worker does. Pokes and the outcome go to the page as messages. */
export type PartyMessage =
  | { readonly role: "origin" | "echo"; readonly memory: ExchangeMemory }
  | { readonly role: "channel"; readonly channel: ChannelDescriptor };

/** What this file uses of a DedicatedWorkerGlobalScope. */
const scope = globalThis as unknown as {
  onmessage: (event: { data: PartyMessage }) => void;
  postMessage(message: string): void;
};

scope.onmessage = ({ data }) => {
  try {
    const poke = (): void => scope.postMessage("poke");
    if (data.role === "channel") echoOverChannel(data.channel);
    else runBlocking(data.role === "origin" ? new Origin(data.memory, poke) : new Echo(data.memory, poke));
    scope.postMessage("done");
  } catch (error) {
    scope.postMessage(`${data.role}: ${String(error)}`);
  }
};
