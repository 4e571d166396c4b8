import { LIMITS } from "./limits.ts";

/**
 * Where a subscription starts or is moved to: `["earliest"] | ["latest"] | ["time", timeMs] | ["offset", offset] |
 * ["snapshot", name] | ["offsets", [[partition, offset]]]`
 */
export type SubscriptionFrom =
  | { readonly kind: "earliest" }
  | { readonly kind: "latest" }
  /** The first record appended at or after this time, ms since the epoch. */
  | { readonly kind: "time"; readonly timeMs: number }
  /** In every partition. */
  | { readonly kind: "offset"; readonly offset: number }
  /** Where it stood when the snapshot was made; a subscription that is being created has none. */
  | { readonly kind: "snapshot"; readonly name: string }
  /** Partitions that are not named stay where they are; of a new subscription they start at the latest. */
  | { readonly kind: "offsets"; readonly offsets: readonly (readonly [partition: number, offset: number])[] };

/** As plain data, which is how frames and config maps have it. */
export function subscriptionFromData(from: SubscriptionFrom): unknown[] {
  switch (from.kind) {
    case "earliest":
    case "latest":
      return [from.kind];
    case "time":
      return [from.kind, from.timeMs];
    case "offset":
      return [from.kind, from.offset];
    case "snapshot":
      return [from.kind, from.name];
    case "offsets":
      return [from.kind, from.offsets];
  }
}

/** What `data` says; undefined when it says nothing that this release knows. Elements of a newer peer are ignored. */
export function parseSubscriptionFrom(data: unknown): SubscriptionFrom | undefined {
  if (!Array.isArray(data)) return undefined;
  const [kind, argument] = data as unknown[];
  switch (kind) {
    case "earliest":
    case "latest":
      return { kind };
    case "time":
      return isUint(argument) ? { kind, timeMs: argument } : undefined;
    case "offset":
      return isUint(argument) ? { kind, offset: argument } : undefined;
    case "snapshot":
      return typeof argument === "string" ? { kind, name: argument } : undefined;
    case "offsets": {
      const offsets = parseOffsets(argument);
      return offsets && { kind, offsets };
    }
    default:
      return undefined;
  }
}

function parseOffsets(data: unknown): [number, number][] | undefined {
  if (!Array.isArray(data) || data.length > LIMITS.partitionsMax) return undefined;
  const offsets: [number, number][] = [];
  for (const row of data as unknown[]) {
    if (!Array.isArray(row)) return undefined;
    const [partition, offset] = row as unknown[];
    if (!isUint(partition) || !isUint(offset)) return undefined;
    offsets.push([partition, offset]);
  }
  return offsets;
}

function isUint(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
