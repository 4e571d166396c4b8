export type { CommandContext } from "./command-context.ts";
export { runCommandLine } from "./command-line.ts";
export { EXIT, type ExitCode } from "./exit-code.ts";
