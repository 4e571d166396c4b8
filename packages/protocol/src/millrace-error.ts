import { ERROR_CODES, type ErrorName, errorNameOf } from "./error-code.ts";

/** What may accompany an error besides its code and message. */
export interface MillraceErrorOptions {
  /** Typed facts about the error; they travel with it over the wire, so MessagePack values only. */
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/**
 * The one error class of Millrace. `code` is stable and append-only; `number` is its number on the wire; `retriable`
 * says whether the same request may succeed later without a change by the caller.
 */
export class MillraceError extends Error {
  override readonly name: string = "MillraceError";
  readonly code: ErrorName;
  readonly number: number;
  readonly retriable: boolean;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorName, message: string, options?: MillraceErrorOptions) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    const entry = ERROR_CODES[code];
    this.code = code;
    this.number = entry.code;
    this.retriable = entry.retriable;
    this.details = options?.details ?? {};
  }

  /**
   * The error that a peer reported. A newer peer may use a number that this release does not know: then the number,
   * name and `retriable` are kept as they came, so that a caller can still decide by `retriable`.
   */
  static fromWire(error: {
    readonly code: number;
    readonly name: string;
    readonly retriable: boolean;
    readonly message: string;
    readonly details: Readonly<Record<string, unknown>>;
  }): MillraceError {
    const known = errorNameOf(error.code);
    const made = new MillraceError(known ?? "INTERNAL", error.message, { details: error.details });
    Object.assign(made, { retriable: error.retriable });
    if (known === undefined) Object.assign(made, { code: error.name, number: error.code });
    return made;
  }
}
