import type { SubscriptionStart } from "@millrace/client";
import { InvalidArgumentError } from "commander";
import { fromArgument } from "./from-argument.ts";

const KIND = /^(earliest$|latest$|offset:|time:|snapshot:)/;

/** What `subscription create --from` accepts: `earliest`, `latest`, `offset:N`, `time:ISO`. */
export function startArgument(text: string): SubscriptionStart {
  return fromArgument(text) as SubscriptionStart;
}

/** What `subscription seek --to` accepts: the same, and `snapshot:NAME`. */
export function seekArgument(text: string): SubscriptionStart {
  if (!KIND.test(text)) {
    throw new InvalidArgumentError("It must be earliest, latest, offset:N, time:ISO or snapshot:NAME.");
  }
  if (!text.startsWith("snapshot:")) return startArgument(text);
  const snapshot = text.slice("snapshot:".length);
  if (snapshot === "") throw new InvalidArgumentError("snapshot: must be followed by the name of one.");
  return { snapshot };
}
