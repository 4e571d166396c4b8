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

/** `--url`, the same for every command that talks to a broker. */
export function urlOption(): Option {
  return new Option("--url <url>", "where the broker listens").default(DEFAULT_URL).argParser(urlArgument);
}
