import { LIMITS } from "./limits.ts";

const NAME = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;

/** Whether `name` may be a topic's: words of [A-Za-z0-9_-] joined by dots, at most 249 bytes. */
export function isValidTopicName(name: unknown): name is string {
  return topicNameProblem(name) === undefined;
}

/** Why `name` cannot be a topic's, in words for its author, or undefined when it can. */
export function topicNameProblem(name: unknown): string | undefined {
  if (typeof name !== "string") return "a topic name is a string";
  if (name.length === 0) return "a topic name has at least one character";
  if (name.startsWith("$")) return "names that start with $ are the broker's own";
  if (name.length > LIMITS.topicNameBytesMax)
    return `a topic name has at most ${LIMITS.topicNameBytesMax} bytes`;
  if (!NAME.test(name)) return "a topic name is words of A-Z a-z 0-9 _ - joined by single dots";
  return undefined;
}
