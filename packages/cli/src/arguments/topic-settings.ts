import type { TopicOverflow, TopicRetention } from "@millrace/client";
import { Option } from "commander";
import { byteSizeArgument, durationArgument } from "./numeric-argument.ts";

/** Options of `topic create` and `topic alter`, as they were parsed. */
export interface RetentionOptions {
  readonly retention?: number | "forever";
  readonly retentionBytes?: number | "unlimited";
  readonly retentionPolicy?: TopicRetention;
  readonly overflow?: TopicOverflow;
}

/** `defaultText` is what applies where the option is left out. */
export function retentionOption(defaultText: string = ""): Option {
  const help = `keep records so long: 7d, 12h, forever${defaultText}`;
  return new Option("--retention <duration>", help).argParser(durationArgument);
}

export function retentionBytesOption(defaultText: string = ""): Option {
  const help = `keep so much: 10GiB, unlimited${defaultText}`;
  return new Option("--retention-bytes <size>", help).argParser(byteSizeArgument);
}

export function durabilityOption(defaultText: string = ""): Option {
  const help = `what an acknowledgement promises: that the record is on disk, with the system, or in memory${defaultText}`;
  return new Option("--durability <level>", help).choices(["fsynced", "written", "memory"]);
}

export function retentionPolicyOption(defaultText: string = ""): Option {
  const help = `acknowledged: a record may go as soon as all queue and keyed subscriptions are done with it${defaultText}`;
  return new Option("--retention-policy <policy>", help).choices(["time", "acknowledged"]);
}

export function overflowOption(defaultText: string = ""): Option {
  const help = `when unfinished records reach the bound of such a topic: refuse publishes, or dead-letter the oldest${defaultText}`;
  return new Option("--overflow <what>", help).choices(["refuse", "dead-letter"]);
}

/** As the client has them: null is without bound, undefined was not stated. */
export function retentionSettings(options: RetentionOptions): {
  retentionMs: number | null | undefined;
  retentionBytes: number | null | undefined;
  retention: TopicRetention | undefined;
  overflow: TopicOverflow | undefined;
} {
  const { retention, retentionBytes, retentionPolicy, overflow } = options;
  return {
    retentionMs: retention === "forever" ? null : retention,
    retentionBytes: retentionBytes === "unlimited" ? null : retentionBytes,
    retention: retentionPolicy,
    overflow,
  };
}
