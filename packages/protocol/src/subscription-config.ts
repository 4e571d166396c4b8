import { LIMITS } from "./limits.ts";
import { MillraceError } from "./millrace-error.ts";
import { parseSubscriptionFrom, type SubscriptionFrom } from "./subscription-from.ts";

/** Shared by members (`stream`), by messages (`queue`), or by messages with those of a key in order (`keyed`). */
export type SubscriptionMode = "stream" | "queue" | "keyed";

/** What CREATE_SUBSCRIPTION may say. What is left out is as in SUBSCRIPTION_DEFAULTS. */
export interface SubscriptionConfig {
  readonly mode: SubscriptionMode;
  /** Left out: the latest, or the earliest of a topic that keeps records until they are acknowledged. Never a snapshot. */
  readonly from?: SubscriptionFrom;
  /** 1_000..43_200_000. */
  readonly leaseMs?: number;
  /** 0..1_000; 0: without limit. */
  readonly maxDeliveries?: number;
  /** 0..3_600_000; the n-th retry waits min(backoffMaxMs, backoffMinMs * 2^(n-1)). */
  readonly backoffMinMs?: number;
  readonly backoffMaxMs?: number;
}

/** What ALTER_SUBSCRIPTION may say; what is left out stays as it is. */
export interface SubscriptionChanges extends Omit<SubscriptionConfig, "mode" | "from"> {
  /** true: nothing more is delivered until it is false again. */
  readonly paused?: boolean;
}

export const SUBSCRIPTION_DEFAULTS = {
  leaseMs: 30_000,
  maxDeliveries: 5,
  backoffMinMs: 1_000,
  backoffMaxMs: 60_000,
} as const;

const NUMBERS = {
  leaseMs: [LIMITS.leaseMsMin, LIMITS.leaseMsMax],
  maxDeliveries: [0, LIMITS.deliveriesMax],
  backoffMinMs: [0, LIMITS.backoffMsMax],
  backoffMaxMs: [0, LIMITS.backoffMsMax],
} as const;
type NumberName = keyof typeof NUMBERS;
type NumberSettings = { [Name in NumberName]?: number };

export function isSubscriptionMode(value: unknown): value is SubscriptionMode {
  return value === "stream" || value === "queue" || value === "keyed";
}

/**
 * The settings in the map of a CREATE_SUBSCRIPTION, or of a CONSUME that may create.
 * @throws MillraceError INVALID_SUBSCRIPTION_CONFIG for a missing mode, a value out of its range, and for a name that
 * this release does not know: it could be a promise that it would not keep. Details: `setting`
 */
export function parseSubscriptionConfig(map: Readonly<Record<string, unknown>>): SubscriptionConfig {
  const { mode, from, ...rest } = map;
  if (!isSubscriptionMode(mode)) refuse("mode", "it is stream, queue or keyed");
  const settings = parseNumbers(rest);
  const { backoffMinMs, backoffMaxMs } = { ...SUBSCRIPTION_DEFAULTS, ...settings };
  if (backoffMinMs > backoffMaxMs) refuse("backoffMinMs", `it is at most backoffMaxMs, ${backoffMaxMs}`);
  if (from === undefined) return { mode, ...settings };
  const start = parseSubscriptionFrom(from);
  if (start === undefined || start.kind === "snapshot") {
    refuse("from", "a subscription can start from earliest, latest, time, offset or offsets");
  }
  return { mode, from: start, ...settings };
}

/**
 * The settings in the map of an ALTER_SUBSCRIPTION.
 * @throws MillraceError INVALID_SUBSCRIPTION_CONFIG as parseSubscriptionConfig, and if it names `mode` or `from`
 */
export function parseSubscriptionChanges(map: Readonly<Record<string, unknown>>): SubscriptionChanges {
  const { paused, ...rest } = map;
  if (Object.hasOwn(rest, "mode")) refuse("mode", "it cannot be changed");
  if (Object.hasOwn(rest, "from")) refuse("from", "SEEK_SUBSCRIPTION moves a subscription");
  const settings = parseNumbers(rest);
  const { backoffMinMs = 0, backoffMaxMs = LIMITS.backoffMsMax } = settings;
  if (backoffMinMs > backoffMaxMs) refuse("backoffMinMs", `it is at most backoffMaxMs, ${backoffMaxMs}`);
  if (paused === undefined) return settings;
  if (typeof paused !== "boolean") refuse("paused", "it is true or false");
  return { ...settings, paused };
}

function parseNumbers(map: Readonly<Record<string, unknown>>): NumberSettings {
  const settings: NumberSettings = {};
  for (const [name, value] of Object.entries(map)) {
    if (!isNumberName(name)) refuse(name, "there is no such setting");
    if (value === undefined) continue;
    const [min, max] = NUMBERS[name];
    if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max) {
      refuse(name, `it is an integer of ${min}..${max}`);
    }
    settings[name] = value as number;
  }
  return settings;
}

function isNumberName(name: string): name is NumberName {
  return Object.hasOwn(NUMBERS, name);
}

function refuse(setting: string, rule: string): never {
  throw new MillraceError("INVALID_SUBSCRIPTION_CONFIG", `subscription setting ${setting}: ${rule}`, {
    details: { setting },
  });
}
