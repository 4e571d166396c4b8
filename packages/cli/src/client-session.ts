import { readFileSync } from "node:fs";
import { type Client, MillraceError } from "@millrace/client";
import type { BrokerAddress } from "./arguments/url-argument.ts";
import type { CommandContext } from "./command-context.ts";
import { describeError } from "./command-error.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import { Interruption } from "./interruption.ts";

/** How long an interrupted command may still wait for the broker, and how long closing the client may take. */
const INTERRUPTED_WAIT_MS = 5_000;
const CLOSE_TIMEOUT_MS = 5_000;

/**
 * Connects, runs `work`, closes the client. An interruption while connecting ends the command at once; later `work` is
 * to end in order, and the client is closed under it if that takes too long (the broker may be gone, and the client
 * waiting for its return). Lost connections are told on standard error, since the client survives them silently.
 */
export async function withClient(
  context: CommandContext,
  address: BrokerAddress,
  work: (client: Client, interruption: Interruption) => Promise<ExitCode>,
): Promise<ExitCode> {
  const interruption = new Interruption(context.signals, context.clock);
  try {
    const client = await connect(context, address, interruption);
    if (client === undefined) return EXIT.INTERRUPTED;
    const stopListening = tellOutages(context, client, interruption);
    const hurry = closeWhenInterrupted(client, interruption.signal);
    try {
      return await work(client, interruption);
    } catch (error) {
      if (!interruption.interrupted) throw error;
      context.stderr.write(`${describeError(error)}\n`);
      return EXIT.INTERRUPTED;
    } finally {
      hurry.dispose();
      stopListening();
      await client.close();
    }
  } finally {
    interruption.dispose();
  }
}

/** One line when the connection is lost, one when it is back; not one for every attempt between. */
function tellOutages(context: CommandContext, client: Client, interruption: Interruption): () => void {
  let lost = false;
  const stopLost = client.on("disconnected", (error) => {
    if (!lost && !interruption.interrupted) context.stderr.write(`reconnecting: ${error.message}\n`);
    lost = true;
  });
  const stopBack = client.on("connected", () => {
    if (lost) context.stderr.write(`connected again to ${client.url}\n`);
    lost = false;
  });
  return () => {
    stopLost();
    stopBack();
  };
}

function closeWhenInterrupted(client: Client, signal: AbortSignal): { dispose(): void } {
  let timer: NodeJS.Timeout | undefined;
  const start = (): void => {
    timer = setTimeout(() => void client.close(), INTERRUPTED_WAIT_MS);
  };
  if (signal.aborted) start();
  else signal.addEventListener("abort", start);
  return {
    dispose(): void {
      signal.removeEventListener("abort", start);
      clearTimeout(timer);
    },
  };
}

async function connect(
  context: CommandContext,
  { url, tlsCa }: BrokerAddress,
  interruption: Interruption,
): Promise<Client | undefined> {
  const tls = tlsCa === undefined ? undefined : { ca: readCertificates(tlsCa) };
  // The client would close itself on a later abort, in the middle of what `work` still has to do in order: so it
  // gets a signal that stops following the interruption once the connection stands.
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  interruption.signal.addEventListener("abort", abort);
  try {
    return await context.connect(url, {
      name: "millrace-cli",
      closeTimeoutMs: CLOSE_TIMEOUT_MS,
      signal: controller.signal,
      tls,
    });
  } catch (error) {
    if (interruption.interrupted) return undefined;
    throw error;
  } finally {
    interruption.signal.removeEventListener("abort", abort);
  }
}

/** @throws MillraceError TLS_FILE_UNREADABLE or TLS_FILE_INVALID */
export function readCertificates(file: string): string {
  let pem: string;
  try {
    pem = readFileSync(file, "latin1");
  } catch (error) {
    throw new MillraceError("TLS_FILE_UNREADABLE", `cannot read ${file}: ${(error as Error).message}`);
  }
  // Node would take a file without any for "trust nobody", and blame the broker.
  if (pem.includes("-----BEGIN CERTIFICATE-----")) return pem;
  throw new MillraceError("TLS_FILE_INVALID", `${file} holds no PEM certificate`);
}
