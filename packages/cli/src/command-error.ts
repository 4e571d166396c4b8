import { EXIT, type ExitCode } from "./exit-code.ts";

/** An error that the command itself found, as opposed to one that the client or broker reports. */
export class CommandError extends Error {
  override readonly name: string = "CommandError";
  /** Printed before the message. Unlike the wire's codes these belong to the command alone. */
  readonly code:
    | "USAGE"
    | "INVALID_RECORD"
    | "INPUT_FAILED"
    | "OUTPUT_FAILED"
    | "DRAIN_TIMEOUT"
    | "CONFIG_INVALID"
    | "CONFIG_UNREADABLE"
    | "CHECK_FAILED"
    | "NO_SUPERVISOR"
    | "NOT_MOVED";
  readonly exitCode: ExitCode;
  /** Where several things are wrong: one a line. */
  readonly lines: readonly string[];

  constructor(
    code: CommandError["code"],
    message: string,
    options: ErrorOptions & { readonly lines?: readonly string[] } = {},
  ) {
    super(message, options);
    this.code = code;
    this.exitCode = code === "USAGE" ? EXIT.USAGE : EXIT.FAILED;
    this.lines = options.lines ?? [message];
  }
}

/**
 * `error CODE: message`, one line, or one for each thing that is wrong. Every error with a string `code` shows it (MillraceError, CommandError, and Node's
 * own such as ECONNREFUSED); anything else is a defect and shown as INTERNAL.
 */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return `error INTERNAL: ${String(error)}`;
  const code = "code" in error && typeof error.code === "string" ? error.code : "INTERNAL";
  const lines = error instanceof CommandError ? error.lines : [error.message];
  return lines.map((line) => `error ${code}: ${line.replaceAll("\n", " ")}`).join("\n");
}

/** The exit code that goes with an error thrown by a command. */
export function exitCodeOf(error: unknown): ExitCode {
  return error instanceof CommandError ? error.exitCode : EXIT.FAILED;
}
