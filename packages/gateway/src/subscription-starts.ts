import type { GatewayPort, PartitionBounds, SubscriptionStarts, Topic } from "@millrace/broker/internal";
import { MillraceError, type SubscriptionFrom } from "@millrace/protocol";
import { namedPartitions } from "./named-partitions.ts";
import { offsetsForTime } from "./time-lookups.ts";

/** All but those that only the subscription's shards know. */
export type ResolvableFrom = Exclude<SubscriptionFrom, { readonly kind: "snapshot" }>;

/**
 * The offset that each partition is to be read from. Partitions that "offsets" does not name are left out.
 * @throws MillraceError OFFSET_OUT_OF_RANGE, UNKNOWN_PARTITION
 */
export async function subscriptionStarts(
  port: GatewayPort,
  topic: Topic,
  from: ResolvableFrom,
): Promise<SubscriptionStarts> {
  const named = from.kind === "offsets" ? from.offsets.map(([partition]) => partition) : undefined;
  if (named?.length === 0) return [];
  const partitions = namedPartitions(topic, named);
  if (from.kind === "time") {
    const offsets = await offsetsForTime(port, topic, partitions, from.timeMs);
    return partitions.map((partition, i) => [partition, offsets[i] as number]);
  }
  const bounds = await port.bounds(topic, partitions);
  switch (from.kind) {
    case "earliest":
      return bounds.map(({ partition, logStartOffset }) => [partition, logStartOffset]);
    case "latest":
      return bounds.map(({ partition, highWatermark }) => [partition, highWatermark]);
    case "offset":
      return bounds.map((entry) => [entry.partition, withinBounds(topic, entry, from.offset)]);
    case "offsets": {
      const offsets = new Map(from.offsets);
      return bounds.map((entry) => {
        const { partition } = entry;
        return [partition, withinBounds(topic, entry, offsets.get(partition) as number)];
      });
    }
  }
}

function withinBounds(topic: Topic, bounds: PartitionBounds, offset: number): number {
  const { partition, logStartOffset, highWatermark, logEpoch } = bounds;
  if (offset >= logStartOffset && offset <= highWatermark) return offset;
  throw new MillraceError(
    "OFFSET_OUT_OF_RANGE",
    `partition ${partition} has offsets ${logStartOffset} to ${highWatermark}, not ${offset}`,
    {
      details: {
        topicId: topic.topicId,
        partition,
        offset,
        bounds: [[partition, logStartOffset, highWatermark, logEpoch]],
      },
    },
  );
}
