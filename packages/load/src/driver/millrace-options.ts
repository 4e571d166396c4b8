import type { ProducerOptions, SubscribeOptions, SubscriptionSettings, TopicConfig } from "@millrace/client";
import type { DriverSettings } from "./driver.ts";

/** `DriverSettings.options` of Millrace: what goes to the client beside the common settings. */
export interface MillraceOptions {
  /** Of the topic that is made. */
  readonly topic?: Partial<TopicConfig>;
  /** Of the queue or keyed subscription that is made. */
  readonly subscription?: Partial<Omit<SubscriptionSettings, "mode" | "from">>;
  readonly producer?: ProducerOptions;
  /** False: every connection publishes to its own node alone, whoever owns the partition. */
  readonly direct?: boolean;
  /** `live` and `stream`. */
  readonly subscribe?: Pick<SubscribeOptions, "windowBytes" | "verifyChecksums" | "partitions">;
  /**
   * `stream`: connections share the partitions as members of the subscription, message by message. Without it each one reads
   * all of them, batch by batch.
   */
  readonly balanced?: boolean;
}

export function millraceOptions({ options }: DriverSettings): MillraceOptions {
  return options as MillraceOptions;
}
