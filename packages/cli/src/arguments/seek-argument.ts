import type { SubscriptionStart } from "@millrace/client";
import { InvalidArgumentError } from "commander";
import { fromArgument } from "./from-argument.ts";

/** What `subscription create --from` accepts: `earliest`, `latest`, `offset:N`, `time:ISO`. */
export function startArgument(text: string): SubscriptionStart {
  return fromArgument(text) as SubscriptionStart;
}

/** What `subscription seek --to` accepts: the same, and `snapshot:NAME`. */
export function seekArgument(text: string): SubscriptionStart {
  if (!text.startsWith("snapshot:")) return startArgument(text);
  const snapshot = text.slice("snapshot:".length);
  if (snapshot === "") throw new InvalidArgumentError("snapshot: must be followed by the name of one.");
  return { snapshot };
}
