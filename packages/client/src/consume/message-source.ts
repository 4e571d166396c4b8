import type { ConsumedMessage } from "./consumed-message.ts";

/** Why a handler threw. */
export interface Failure {
  readonly error: unknown;
}

/** Where messages to be worked on come from. */
export interface MessageSource {
  /** The next message, or undefined when there is none now. */
  take(): ConsumedMessage | undefined;
  /** The handler has returned, or thrown `failure`. */
  finish(message: ConsumedMessage, failure: Failure | undefined): void;
  /** In the pull form: the message after this one is asked for. */
  pass(message: ConsumedMessage): void;
}
