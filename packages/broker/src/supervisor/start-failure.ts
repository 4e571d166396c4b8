import { ERROR_CODES, type ErrorName, MillraceError } from "@millrace/protocol";
import type { NodeFile } from "./node-file.ts";

/** Codes from here on are those of a broker that does not start. */
const START_CODES_MIN = 2000;

/** Damage ends a start whichever shard it is in. */
const FATAL = new Set(["JOURNAL_DAMAGED", "DATA_FORMAT_NEWER"]);

/**
 * What makes the start of a cluster fail: what would make that of a broker of one process fail. `said`: what a node that
 * has ended gave as its reason; `failed`: shards that are out of service, which is fatal for the one with the catalog.
 */
export function startFailure(
  said: NodeFile["failure"],
  failed: readonly { readonly shardId: number; readonly reason: string }[],
): MillraceError | undefined {
  if (said !== undefined && isStartCode(said.code)) return new MillraceError(said.code, said.message);
  for (const { shardId, reason } of failed) {
    const code = reason.slice(0, reason.indexOf(":"));
    if (shardId !== 0 && !FATAL.has(code)) continue;
    const name = code in ERROR_CODES ? (code as ErrorName) : "JOURNAL_FAILED";
    return new MillraceError(name, reason.slice(code.length + 2), { details: { shardId } });
  }
  return undefined;
}

/** What one fails with whose signal was given. */
export function brokenOff(): MillraceError {
  return new MillraceError("SERVER_DRAINING", "the start was broken off");
}

function isStartCode(code: string): code is ErrorName {
  return (ERROR_CODES[code as ErrorName]?.code ?? 0) >= START_CODES_MIN;
}
