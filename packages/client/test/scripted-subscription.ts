import type { FrameValues, OutgoingRecord } from "@millrace/protocol";
import type { ReceivedRecord, SubscribeOptions, Subscription } from "../src/index.ts";
import { entryOf, frameBytes } from "./fake-broker.ts";
import { ScriptedClient } from "./scripted-client.ts";

export type Stream = FrameValues["SUBSCRIBED"]["streams"][number];
export type Subscribe = FrameValues["SUBSCRIBE"];

/** One partition of a SUBSCRIBED: stream id 10 + partition, empty unless told otherwise. */
export function stream(partition: number, more: Partial<Stream> = {}): Stream {
  const bounds = { startOffset: 0, logStartOffset: 0, highWatermark: 0, logEpoch: 1 };
  return { partition, streamId: 10 + partition, ...bounds, ...more };
}

export async function accept(
  script: ScriptedClient,
  subscribe: Subscribe,
  streams: readonly Stream[],
): Promise<void> {
  const { requestId, subscriptionId } = subscribe;
  await script.reply("SUBSCRIBED", { requestId, subscriptionId, topicId: 7, streams });
}

/** Delivers records with the values "p:offset". */
export async function deliver(
  script: ScriptedClient,
  streamId: number,
  from: number,
  counts: readonly number[],
): Promise<number> {
  let offset = from;
  const entries = counts.map((count) => {
    const base = offset;
    offset += count;
    return entryOf(base, numbered(streamId - 10, base, count));
  });
  const frame = { streamId, nextOffset: offset, entries };
  await script.reply("DELIVER", frame);
  return frameBytes("DELIVER", frame);
}

/** Records with the values "p:offset". */
export function numbered(partition: number, base: number, count: number): OutgoingRecord[] {
  return Array.from({ length: count }, (_, i) => ({ value: `${partition}:${base + i}` }));
}

export async function start(
  options: SubscribeOptions,
  streams: readonly Stream[],
): Promise<{ script: ScriptedClient; subscription: Subscription; subscribe: Subscribe }> {
  const script = await ScriptedClient.connected();
  const subscription = script.client.subscribe("t", options);
  const subscribe = await script.expect("SUBSCRIBE");
  await accept(script, subscribe, streams);
  await subscription.ready();
  return { script, subscription, subscribe };
}

export async function take(iterator: AsyncIterator<ReceivedRecord>, count: number): Promise<unknown[]> {
  const values: unknown[] = [];
  for (let i = 0; i < count; i += 1) {
    const { value, done } = await iterator.next();
    if (done === true) return [...values, "done"];
    values.push((value as ReceivedRecord).value);
  }
  return values;
}
