import { MillraceError } from "@millrace/protocol";
import type { DeliveryPath } from "./delivery-path.ts";
import { GATEWAY_LIMITS } from "./limits.ts";
import type { Session } from "./session.ts";

/**
 * Whether the session may read `more` partitions. A consumer counts with all of its topic's, which it may get.
 * @throws MillraceError TOO_MANY_SUBSCRIPTIONS
 */
export function checkStreamCount(session: Session, more: number, delivery: DeliveryPath): void {
  const { streamsPerSessionMax, streamsMax } = GATEWAY_LIMITS;
  let streams = more;
  for (const { consumer, topic, streams: own } of session.readers ?? []) {
    streams += consumer === undefined ? own.length : (topic?.partitions ?? 0);
  }
  if (streams <= streamsPerSessionMax && delivery.streamCount + more <= streamsMax) return;
  throw new MillraceError("TOO_MANY_SUBSCRIPTIONS", "too many partitions are subscribed to", {
    details: { streamsPerSessionMax },
  });
}
