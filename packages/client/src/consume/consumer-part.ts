import type { MillraceError } from "@millrace/protocol";
import type { Gap } from "../api/subscription.ts";
import type { ConsumedMessage } from "./consumed-message.ts";
import type { MessageSource } from "./message-source.ts";

/** A consumer's part in one subscription, or in one live reading. */
export interface ConsumerPart extends MessageSource {
  start(): void;
  /** Takes nothing more, finishes what is in hand within the time, and leaves. Never rejects. */
  close(timeoutMs: number): Promise<void>;
  commit(): Promise<void>;
  /** Over at once, without a word to the broker. */
  end(error: MillraceError): void;
}

/** What a part tells its consumer. */
export interface PartHandlers {
  /** The broker has accepted it, perhaps not the first time. */
  onAccepted(): void;
  /** There may be messages. */
  onMessages(): void;
  /** It is over for good. */
  onFailed(error: MillraceError): void;
  onError(error: unknown, message?: ConsumedMessage): void;
  onAssigned(partition: number, offset: number): void;
  onRevoked(partition: number): void;
  onGap(gap: Gap): void;
}
