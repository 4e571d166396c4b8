import type { SubscribeFrom } from "@millrace/client";
import { InvalidArgumentError } from "commander";

// A date alone is taken as midnight UTC and a time without a zone as local, as ECMAScript has it.
const ISO_TIME = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?$/;

/** What `sub --from` accepts: `earliest`, `latest`, `offset:N`, `time:ISO`. */
export function fromArgument(text: string): SubscribeFrom {
  if (text === "earliest" || text === "latest") return text;
  if (text.startsWith("offset:")) {
    const offset = offsetOf(text.slice("offset:".length));
    if (offset !== undefined) return { offset };
    throw new InvalidArgumentError("offset: must be followed by an integer that is not negative.");
  }
  if (text.startsWith("time:")) {
    const time = isoTimeMs(text.slice("time:".length));
    if (time !== undefined) return { time };
    throw new InvalidArgumentError(
      "time: must be followed by an ISO 8601 time such as 2026-11-22T10:00:00Z.",
    );
  }
  throw new InvalidArgumentError("It must be earliest, latest, offset:N or time:ISO.");
}

/** A decimal offset, or undefined. */
export function offsetOf(text: string): number | undefined {
  const offset = Number(text);
  return /^\d{1,16}$/.test(text) && Number.isSafeInteger(offset) ? offset : undefined;
}

/** An ISO 8601 time as ms since the epoch, or undefined. */
export function isoTimeMs(text: string): number | undefined {
  const time = ISO_TIME.test(text) ? Date.parse(text) : Number.NaN;
  return time >= 0 ? time : undefined;
}
