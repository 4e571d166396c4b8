import { isIPv4 } from "node:net";
import { MillraceError } from "@millrace/protocol";

/** Whether `host` can be reached from this machine only. */
export function isLoopbackHost(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, "").toLowerCase();
  return bare === "localhost" || bare === "::1" || (isIPv4(bare) && bare.startsWith("127."));
}

/**
 * Refuses to be open to other machines unless that is meant.
 * @throws MillraceError INSECURE_HOST
 */
export function refuseOpenHost(host: string, insecure: boolean): void {
  if (insecure || isLoopbackHost(host)) return;
  throw new MillraceError(
    "INSECURE_HOST",
    `${host} is not a loopback address: others may reach it, who could read and write everything, since there is no ` +
      "authentication yet. Set insecure (--insecure) if that is meant.",
    { details: { host } },
  );
}

/** `host` as it stands in a URL. */
export function urlHost(host: string): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}

/**
 * Which pages may open a WebSocket here. Browsers send cross-origin upgrades without asking, so a page from anywhere
 * could read a broker on loopback. The Host header proves nothing (DNS rebinding makes any name point here), so an
 * origin is compared with the address that is listened on, never with what the request claims.
 */
export class OriginPolicy {
  readonly #allowed: Set<string>;
  readonly #any: boolean;

  /** `allowOrigins`: origins such as `https://app.example.com`, or `*` for every one. */
  constructor(host: string, port: number, allowOrigins: readonly string[]) {
    this.#any = allowOrigins.includes("*");
    this.#allowed = new Set(allowOrigins.map(normalize));
    const names = isLoopbackHost(host) ? [host, "localhost", "127.0.0.1", "::1"] : [host];
    for (const name of names) {
      for (const scheme of ["http", "https"])
        this.#allowed.add(normalize(`${scheme}://${urlHost(name)}:${port}`));
    }
  }

  /** `origin` empty: not a browser. */
  allows(origin: string): boolean {
    return origin === "" || this.#any || this.#allowed.has(normalize(origin));
  }
}

/** Lower case, without the scheme's own port and a trailing slash. */
function normalize(origin: string): string {
  const lower = origin.trim().toLowerCase().replace(/\/+$/, "");
  if (lower.startsWith("http://")) return lower.replace(/:80$/, "");
  if (lower.startsWith("https://")) return lower.replace(/:443$/, "");
  return lower;
}
