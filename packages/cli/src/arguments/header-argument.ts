import { InvalidArgumentError } from "commander";

/** Collects `--header name=value`; the value may hold further `=`. A name given twice keeps the last value. */
export function headerArgument(
  text: string,
  previous: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> {
  const at = text.indexOf("=");
  if (at <= 0) throw new InvalidArgumentError("It must have the form name=value.");
  return { ...previous, [text.slice(0, at)]: text.slice(at + 1) };
}
