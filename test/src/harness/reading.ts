import type { Client, ReceivedRecord, SubscribeOptions, Subscription } from "@millrace/client";
import { inTime } from "./waiting.ts";

/** The next `count` records of an iteration that goes on. */
export async function take(
  records: AsyncIterator<ReceivedRecord>,
  count: number,
  what: string = "records",
): Promise<ReceivedRecord[]> {
  const taken: ReceivedRecord[] = [];
  while (taken.length < count) {
    const next = await inTime(records.next(), `${what}: ${taken.length} of ${count} have come`);
    if (next.done === true)
      throw new Error(`the subscription ended after ${taken.length} of ${count} ${what}`);
    taken.push(next.value);
  }
  return taken;
}

/** Everything that the topic holds now, in order per partition. */
export async function readAll(
  client: Client,
  topic: string,
  options: SubscribeOptions = {},
): Promise<ReceivedRecord[]> {
  const subscription = client.subscribe(topic, { from: "earliest", untilEnd: true, ...options });
  return inTime(drain(subscription), `the end of ${topic}`);
}

async function drain(subscription: Subscription): Promise<ReceivedRecord[]> {
  const records: ReceivedRecord[] = [];
  for await (const record of subscription) records.push(record);
  return records;
}

export function valuesOf(records: readonly ReceivedRecord[]): unknown[] {
  return records.map(({ value }) => value);
}

export function offsetsOf(records: readonly ReceivedRecord[]): number[] {
  return records.map(({ offset }) => offset);
}

/** Records by partition, each in the order of arrival. */
export function byPartition(records: readonly ReceivedRecord[]): Map<number, ReceivedRecord[]> {
  const partitions = new Map<number, ReceivedRecord[]>();
  for (const record of records) {
    const list = partitions.get(record.partition);
    if (list === undefined) partitions.set(record.partition, [record]);
    else list.push(record);
  }
  return partitions;
}
