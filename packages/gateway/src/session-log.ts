import type { Logger } from "@millrace/broker/internal";
import type { MillraceError } from "@millrace/protocol";
import type { Session } from "./session.ts";

/** What the log says of sessions. */
export class SessionLog {
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  opened(session: Session): void {
    this.#logger.log("debug", "session-open", { session: session.id, client: session.clientName });
  }

  closed(session: Session, code: number): void {
    this.#logger.log("debug", "session-closed", { session: session.id, client: session.clientName, code });
  }

  /** The broker failed to handle a frame. */
  failed(session: Session, error: unknown): void {
    this.#logger.log("error", "session-failed", { session: session.id, error: describe(error) });
  }

  /** A request failed for a reason that its client is not told. */
  requestFailed(session: Session, error: unknown): void {
    this.#logger.log("error", "request-failed", { session: session.id, error: describe(error) });
  }

  /** The session is ended for what its client did, or for the broker's own end. */
  refused(session: Session, error: MillraceError): void {
    const level = error.code === "SERVER_DRAINING" ? "debug" : "info";
    this.#logger.log(level, "session-refused", {
      session: session.id,
      client: session.clientName,
      code: error.code,
      message: error.message,
    });
  }

  clientError(session: Session, name: string, message: string): void {
    this.#logger.log("info", "client-error", {
      session: session.id,
      client: session.clientName,
      name,
      message,
    });
  }

  hookFailed(hook: string, error: unknown): void {
    this.#logger.log("error", "listener-hook-failed", { hook, error: describe(error) });
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
