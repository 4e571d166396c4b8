import { MillraceError } from "@millrace/protocol";

/** What a request is answered with: MillraceErrors as they are, anything else as INTERNAL, without its message. */
export function asRequestError(error: unknown): MillraceError {
  if (error instanceof MillraceError) return error;
  return new MillraceError("INTERNAL", "the request failed; the broker's log says why", { cause: error });
}

export function withDetails(error: MillraceError, details: Readonly<Record<string, unknown>>): MillraceError {
  return new MillraceError(error.code, error.message, {
    cause: error,
    details: { ...error.details, ...details },
  });
}
