import { EXIT, type ExitCode } from "./exit-code.ts";

/** An error that the command itself found, as opposed to one that the client or broker reports. */
export class CommandError extends Error {
  override readonly name: string = "CommandError";
  /** Printed before the message. Unlike the wire's codes these belong to the command alone. */
  readonly code: "USAGE" | "INVALID_RECORD" | "INPUT_FAILED" | "OUTPUT_FAILED" | "DRAIN_TIMEOUT";
  readonly exitCode: ExitCode;

  constructor(code: CommandError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.exitCode = code === "USAGE" ? EXIT.USAGE : EXIT.FAILED;
  }
}

/**
 * `error CODE: message`, one line. Every error with a string `code` shows it (MillraceError, CommandError, and Node's
 * own such as ECONNREFUSED); anything else is a defect and shown as INTERNAL.
 */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return `error INTERNAL: ${String(error)}`;
  const code = "code" in error && typeof error.code === "string" ? error.code : "INTERNAL";
  return `error ${code}: ${error.message.replaceAll("\n", " ")}`;
}

/** The exit code that goes with an error thrown by a command. */
export function exitCodeOf(error: unknown): ExitCode {
  return error instanceof CommandError ? error.exitCode : EXIT.FAILED;
}
