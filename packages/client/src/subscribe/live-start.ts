import { MillraceError } from "@millrace/protocol";
import type { LiveOptions, SubscribeOptions } from "../api/subscription.ts";

/** What of the past a live reader begins with. */
export type LiveStart =
  | { readonly kind: "records"; readonly records: number }
  | { readonly kind: "time"; readonly ms: number }
  | { readonly kind: "last-values"; readonly records: number };

const LAST_VALUE_RECORDS = 10_000;

/**
 * Checks the options of a live reader; undefined: it begins with now.
 * @throws MillraceError INVALID_FROM
 */
export function liveStartOf(options: SubscribeOptions): LiveStart | undefined {
  const { mode, from, replay, lastValuePerKey } = options;
  if (replay === undefined && lastValuePerKey === undefined) return undefined;
  if (mode !== "live") return refuse('replay and lastValuePerKey are for mode "live"');
  if (from !== undefined && from !== "latest")
    return refuse("replay and lastValuePerKey say from where: leave from out");
  if (replay === undefined) {
    return {
      kind: "last-values",
      records: checked("records", lastValuePerKey?.records ?? LAST_VALUE_RECORDS),
    };
  }
  if (lastValuePerKey !== undefined) return refuse("replay and lastValuePerKey exclude each other");
  if ("records" in replay) return { kind: "records", records: checked("records", replay.records) };
  return { kind: "time", ms: checked("ms", replay.ms) };
}

/** The options without those of a beginning in the past: of a topic made just now everything is read. */
export function withoutLiveStart<O extends LiveOptions>(options: O): O {
  return { ...options, replay: undefined, lastValuePerKey: undefined };
}

function checked(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  return refuse(`${name} must be an integer of 0..2^53-1: ${name}=${value}`);
}

function refuse(message: string): never {
  throw new MillraceError("INVALID_FROM", message);
}
