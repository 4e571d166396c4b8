import type { ReceivedRecord } from "./record.ts";
import type { RequestOptions } from "./topics.ts";

/** A message that could not be processed. What `ReceivedRecord` says of topic, partition and offset is the dead-letter topic's. */
export interface DeadLetter extends ReceivedRecord {
  /** Where it came from. */
  readonly origin: { readonly topic: string; readonly partition: number; readonly offset: number };
  /** The subscription that could not process it. */
  readonly subscription: string;
  readonly reason: string;
  readonly deliveryCount: number;
  /** When it died, ms since the epoch. */
  readonly deadMs: number;
}

export interface ListDeadLettersOptions extends RequestOptions {
  /** Only those of this subscription. */
  readonly subscription?: string | undefined;
  /** Dead letters at most. Default 100. */
  readonly limit?: number | undefined;
}

export interface RedriveOptions extends RequestOptions {
  /** Only those of this subscription. */
  readonly subscription?: string | undefined;
  /** Only those for which this returns true. */
  readonly select?: ((letter: DeadLetter) => boolean) | undefined;
}

/** The dead letters of a topic that are still to be dealt with. */
export interface DeadLetters {
  /** Oldest first in each partition; empty while nothing has died. Rejects with UNKNOWN_TOPIC. */
  list(topic: string, options?: ListDeadLettersOptions): Promise<DeadLetter[]>;
  /**
   * Gives dead letters back to the subscriptions that they came from, as if delivered for the first time. Each is taken
   * once. Resolves with how many; what a subscription that was deleted left behind stays.
   */
  redrive(topic: string, options?: RedriveOptions): Promise<number>;
}
