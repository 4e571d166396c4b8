import { InvalidArgumentError, Option } from "commander";

export const DEFAULT_URL = "ws://127.0.0.1:7070";

/** A ws: or wss: URL, given back as it was written. */
export function urlArgument(text: string): string {
  const protocol = URL.canParse(text) ? new URL(text).protocol : "";
  if (protocol !== "ws:" && protocol !== "wss:") {
    throw new InvalidArgumentError(`It must be a ws:// or wss:// URL such as ${DEFAULT_URL}.`);
  }
  return text;
}

/** Where the broker is and whom to trust there: the options of every command that talks to one. */
export interface BrokerAddress {
  readonly url: string;
  /** A file of certificates in PEM. */
  readonly tlsCa?: string;
}

/** `--tls-ca`, beside `--url`. */
export function tlsCaOption(): Option {
  return new Option(
    "--tls-ca <file>",
    "certificates (PEM) to trust at a wss:// URL, instead of the usual ones",
  );
}

/** `--url`, the same for every command that talks to a broker. */
export function urlOption(): Option {
  return new Option("--url <url>", "where the broker listens").default(DEFAULT_URL).argParser(urlArgument);
}
