import type { GatewayPort, Topic } from "@millrace/broker/internal";
import { GATEWAY_LIMITS } from "./limits.ts";

/** Of each partition the first offset at or after a time, in their order; some are looked up at once, not all. */
export async function offsetsForTime(
  port: GatewayPort,
  topic: Topic,
  partitions: readonly number[],
  timeMs: number,
): Promise<readonly number[]> {
  const offsets: number[] = [];
  for (let i = 0; i < partitions.length; i += GATEWAY_LIMITS.timeLookupsAtOnce) {
    const some = partitions.slice(i, i + GATEWAY_LIMITS.timeLookupsAtOnce);
    offsets.push(
      ...(await Promise.all(some.map((partition) => port.offsetForTime(topic, partition, timeMs)))),
    );
  }
  return offsets;
}
