import type { TruncateBefore } from "@millrace/client";
import { InvalidArgumentError } from "commander";
import { isoTimeMs, offsetOf } from "./from-argument.ts";
import { durationMs } from "./numeric-argument.ts";

/** As the client has it, or so many milliseconds before now. */
export type BeforeArgument = TruncateBefore | { readonly agoMs: number };

/** What `topic truncate --before` accepts: `latest`, `offset:N`, `time:ISO`, `time:2h` (ago), also without the prefix. */
export function beforeArgument(text: string): BeforeArgument {
  if (text === "latest") return text;
  const [, prefix, rest = ""] = /^(?:(offset|time):)?(.*)$/s.exec(text) ?? [];
  const offset = prefix === "time" ? undefined : offsetOf(rest);
  if (offset !== undefined) return { offset };
  const time = prefix === "offset" ? undefined : isoTimeMs(rest);
  if (time !== undefined) return { time };
  const agoMs = prefix === "offset" ? undefined : durationMs(rest);
  if (agoMs !== undefined) return { agoMs };
  throw new InvalidArgumentError(
    "It must be latest, offset:N, time:ISO such as time:2026-11-22T10:00:00Z, or time:DURATION such as time:2h, for two hours ago.",
  );
}
