import { LIMITS } from "./limits.ts";

const NAME = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;

/** Whether `name` may be a subscription's, or a snapshot's: as a topic's name. */
export function isValidSubscriptionName(name: unknown): name is string {
  return subscriptionNameProblem(name) === undefined;
}

/** Why `name` cannot be a subscription's, or a snapshot's, in words for its author, or undefined when it can. */
export function subscriptionNameProblem(name: unknown): string | undefined {
  if (typeof name !== "string") return "a subscription name is a string";
  if (name.length === 0) return "a subscription name has at least one character";
  if (name.startsWith("$")) return "names that start with $ are the broker's own";
  if (name.length > LIMITS.subscriptionNameBytesMax)
    return `a subscription name has at most ${LIMITS.subscriptionNameBytesMax} bytes`;
  if (!NAME.test(name)) return "a subscription name is words of A-Z a-z 0-9 _ - joined by single dots";
  return undefined;
}
