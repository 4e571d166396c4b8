import { MillraceError, type TruncateBefore as WireBefore } from "@millrace/protocol";
import type { TruncateBefore } from "../api/topics.ts";

/**
 * What TRUNCATE_TOPIC says.
 * @throws MillraceError INVALID_FROM
 */
export function truncateBeforeOf(before: TruncateBefore): WireBefore {
  if (before === "latest") return { kind: "latest" };
  if (typeof before !== "object" || before === null) {
    return refuse(`before is neither an offset nor a time nor "latest": ${String(before)}`);
  }
  if ("time" in before) {
    const timeMs = Math.floor(typeof before.time === "number" ? before.time : before.time.getTime());
    return { kind: "time", timeMs: checked("time", timeMs) };
  }
  return { kind: "offset", offset: checked("offset", before.offset) };
}

function checked(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  return refuse(`${name} must be an integer of 0..2^53-1: ${name}=${value}`);
}

function refuse(message: string): never {
  throw new MillraceError("INVALID_FROM", message);
}
