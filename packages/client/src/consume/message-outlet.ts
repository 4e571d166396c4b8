import type { ConsumedMessage } from "./consumed-message.ts";
import type { MessageSource } from "./message-source.ts";

/** Where messages go to: a handler, or whoever asks for them. */
export interface MessageOutlet {
  /** That source may have messages. */
  wake(source: MessageSource): void;
  /** Nothing is to be taken from it any more. */
  remove(source: MessageSource): void;
}

/** A message and where it came from. */
export interface Taken {
  readonly message: ConsumedMessage;
  readonly source: MessageSource;
}

/** The next message of `source`. */
export function takeFrom(source: MessageSource): Taken | undefined {
  const message = source.take();
  return message === undefined ? undefined : { message, source };
}
