import type { Client } from "@millrace/client";
import type { CommandContext } from "./command-context.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import { Interruption } from "./interruption.ts";

/**
 * Connects, runs `work`, closes the client. An interruption while connecting ends the command at once; later it is up
 * to `work`, which is given it. Lost connections are told on standard error, since the client survives them silently.
 */
export async function withClient(
  context: CommandContext,
  url: string,
  work: (client: Client, interruption: Interruption) => Promise<ExitCode>,
): Promise<ExitCode> {
  const interruption = new Interruption(context.signals);
  try {
    const client = await connect(context, url, interruption);
    if (client === undefined) return EXIT.INTERRUPTED;
    const stopListening = client.on("disconnected", (error) => {
      if (!interruption.interrupted) context.stderr.write(`reconnecting to ${url}: ${error.message}\n`);
    });
    try {
      return await work(client, interruption);
    } finally {
      stopListening();
      await client.close();
    }
  } finally {
    interruption.dispose();
  }
}

async function connect(
  context: CommandContext,
  url: string,
  interruption: Interruption,
): Promise<Client | undefined> {
  // The client would close itself on a later abort, in the middle of what `work` still has to do in order: so it
  // gets a signal that stops following the interruption once the connection stands.
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  interruption.signal.addEventListener("abort", abort);
  try {
    return await context.connect(url, { name: "millrace-cli", signal: controller.signal });
  } catch (error) {
    if (interruption.interrupted) return undefined;
    throw error;
  } finally {
    interruption.signal.removeEventListener("abort", abort);
  }
}
