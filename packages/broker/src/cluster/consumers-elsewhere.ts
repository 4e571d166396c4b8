import type { SubscriptionConsumers } from "../node/gateway-handler.ts";

/** RPC [subscriptionId]: who consumes it at the gateway of the node that answers; a SubscriptionConsumers. */
export const CONSUMERS_CALL = "consumers";

/** A node that does not answer in this time is taken to have none: its clients may well be gone with it. */
export const CONSUMERS_TIMEOUT_MS = 1_000;

/** Who consumes the subscription at all of these nodes together. Never rejects. */
export async function consumersAt(
  nodes: Iterable<number>,
  ask: (nodeId: number) => Promise<unknown>,
): Promise<SubscriptionConsumers> {
  const answers = await Promise.all(
    [...nodes].map(async (nodeId) => {
      try {
        return (await ask(nodeId)) as SubscriptionConsumers;
      } catch {
        return undefined;
      }
    }),
  );
  let count = 0;
  const holders: (readonly [partition: number, clientName: string])[] = [];
  for (const answer of answers) {
    count += answer?.count ?? 0;
    holders.push(...(answer?.holders ?? []));
  }
  return { count, holders };
}
