import { MillraceError, type SubscriptionFrom } from "@millrace/protocol";
import type { SubscriptionStart } from "../api/subscriptions.ts";
import { startPositionOf } from "../subscribe/start-position.ts";

/**
 * What a frame says of where a subscription starts or is moved to.
 * @throws MillraceError INVALID_FROM
 */
export function subscriptionFromOf(start: SubscriptionStart): SubscriptionFrom {
  if (typeof start === "object" && start !== null && "snapshot" in start) {
    return { kind: "snapshot", name: String(start.snapshot) };
  }
  const { wire, own } = startPositionOf(start, undefined);
  if (own !== undefined) {
    return { kind: "offsets", offsets: own.positions.map(({ partition, offset }) => [partition, offset]) };
  }
  if (wire === undefined || wire.kind === "resume") {
    throw new MillraceError("INVALID_FROM", "a subscription cannot start from there");
  }
  return wire;
}
