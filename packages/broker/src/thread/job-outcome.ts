import type { BackgroundJob, BackgroundResult } from "@millrace/journal";
import { ERROR_CODES, type ErrorName, MillraceError } from "@millrace/protocol";

/** An error of a job. Plain data, since an Error loses its code when it is sent to another thread. */
export interface JobError {
  /** An errno's name, or that of one of our errors. */
  readonly code?: string;
  readonly message: string;
  /** Of one of our errors. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** How a job ended: one of both, or neither for a job that only writes. */
export interface JobOutcome {
  readonly error?: JobError;
  readonly result?: BackgroundResult;
}

/** What another thread may know of an error. */
export function jobErrorOf(error: unknown): JobError {
  if (!(error instanceof Error)) return { message: String(error) };
  const { message } = error;
  if (error instanceof MillraceError) return { code: error.code, message, details: { ...error.details } };
  return "code" in error && typeof error.code === "string" ? { code: error.code, message } : { message };
}

/** The error again, for whoever submitted the job. */
export function errorOfJob({ code, message, details }: JobError): Error {
  if (code !== undefined && Object.hasOwn(ERROR_CODES, code)) {
    return new MillraceError(code as ErrorName, message, details === undefined ? {} : { details });
  }
  return Object.assign(new Error(message), code === undefined ? {} : { code });
}

/** The buffers that a job or a result gives away: they move between threads, everything else of it is copied. */
export function buffersOf(message: BackgroundJob | BackgroundResult | undefined): ArrayBuffer[] {
  switch (message?.kind) {
    case "write-file":
      return message.chunks.map((chunk) => chunk.buffer as ArrayBuffer);
    case "settled":
      return [message.added, message.removed].map((rows) => rows.buffer as ArrayBuffer);
    case "retention-plan":
      return [message.moves, message.files, message.freed].map((rows) => rows.buffer as ArrayBuffer);
    default:
      return [];
  }
}
