import type { SubscribeFrom } from "@millrace/client";
import { InvalidArgumentError } from "commander";

// A date alone is taken as midnight UTC and a time without a zone as local, as ECMAScript has it.
const ISO_TIME = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?$/;

/** What `sub --from` accepts: `earliest`, `latest`, `offset:N`, `time:ISO`. */
export function fromArgument(text: string): SubscribeFrom {
  if (text === "earliest" || text === "latest") return text;
  if (text.startsWith("offset:")) {
    const digits = text.slice("offset:".length);
    const offset = Number(digits);
    if (/^\d{1,16}$/.test(digits) && Number.isSafeInteger(offset)) return { offset };
    throw new InvalidArgumentError("offset: must be followed by an integer that is not negative.");
  }
  if (text.startsWith("time:")) {
    const iso = text.slice("time:".length);
    const time = ISO_TIME.test(iso) ? Date.parse(iso) : Number.NaN;
    if (time >= 0) return { time };
    throw new InvalidArgumentError(
      "time: must be followed by an ISO 8601 time such as 2026-11-22T10:00:00Z.",
    );
  }
  throw new InvalidArgumentError("It must be earliest, latest, offset:N or time:ISO.");
}
