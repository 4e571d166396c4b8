import { Option } from "commander";
import { durationArgument, integerArgument } from "./numeric-argument.ts";

/** Options of `subscription create`, `subscription alter` and `sub`, as they were parsed. */
export interface SubscriptionSettingOptions {
  readonly lease?: number | "forever";
  readonly maxDeliveries?: number;
  readonly backoff?: number | "forever";
  readonly backoffMax?: number | "forever";
}

const DELIVERIES_MAX = 1000;

/** The options, in the order of the help. `defaults`: say what applies where one is left out. */
export function subscriptionSettingOptions(defaults: boolean): Option[] {
  const unless = (text: string): string => (defaults ? ` (default: ${text})` : "");
  return [
    new Option(
      "--lease <duration>",
      `queue, keyed: a message comes again when it was not settled in this time${unless("30s")}`,
    ).argParser(durationArgument),
    new Option(
      "--max-deliveries <n>",
      `queue, keyed: then a message is dead; 0 = never${unless("5")}`,
    ).argParser(integerArgument(0, DELIVERIES_MAX)),
    new Option("--backoff <duration>", `pause before the first retry; doubles${unless("1s")}`).argParser(
      durationArgument,
    ),
    new Option("--backoff-max <duration>", `longest such pause${unless("1m")}`).argParser(durationArgument),
  ];
}

/** As the client has them; undefined was not stated. The broker refuses what is out of bounds. */
export function subscriptionSettings(options: SubscriptionSettingOptions): {
  leaseMs: number | undefined;
  maxDeliveries: number | undefined;
  backoffMinMs: number | undefined;
  backoffMaxMs: number | undefined;
} {
  return {
    leaseMs: milliseconds(options.lease),
    maxDeliveries: options.maxDeliveries,
    backoffMinMs: milliseconds(options.backoff),
    backoffMaxMs: milliseconds(options.backoffMax),
  };
}

function milliseconds(duration: number | "forever" | undefined): number | undefined {
  return duration === "forever" ? Number.MAX_SAFE_INTEGER : duration;
}
