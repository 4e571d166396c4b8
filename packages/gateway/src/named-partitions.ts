import type { Topic } from "@millrace/broker/internal";
import { MillraceError } from "@millrace/protocol";

/**
 * The partitions that a request is about, in the client's order, without repeats; undefined = all of the topic.
 * @throws MillraceError UNKNOWN_PARTITION
 */
export function namedPartitions(topic: Topic, named: readonly number[] | undefined): readonly number[] {
  if (named === undefined) return Array.from({ length: topic.partitions }, (_, partition) => partition);
  const partitions = [...new Set(named)];
  const unknown = partitions.find((partition) => partition >= topic.partitions);
  if (unknown !== undefined || partitions.length === 0) {
    throw new MillraceError(
      "UNKNOWN_PARTITION",
      unknown === undefined ? "no partition was named" : `topic ${topic.name} has no partition ${unknown}`,
      { details: { topicId: topic.topicId, partitions: topic.partitions } },
    );
  }
  return partitions;
}
