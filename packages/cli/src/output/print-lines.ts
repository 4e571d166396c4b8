import type { CommandContext } from "../command-context.ts";
import { LineWriter } from "./line-writer.ts";

/** The whole result of a command that has little to say, on standard output. */
export async function printLines(context: CommandContext, lines: Iterable<string>): Promise<void> {
  const writer = new LineWriter(context.stdout);
  for (const line of lines) writer.push(line);
  await writer.flush();
}
