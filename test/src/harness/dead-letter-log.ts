import type { Client } from "@millrace/client";
import { readAll } from "./reading.ts";

/** A record of a dead-letter topic, by its own headers. */
export interface BuriedMessage {
  readonly partition: number;
  readonly offset: number;
  readonly value: string;
  readonly subscription: string;
  readonly reason: string;
  readonly deliveryCount: number;
  readonly origin: { readonly topic: string; readonly partition: number; readonly offset: number };
}

/** Everything in the dead-letter topic of `topic`; nothing if there is none. */
export async function readDeadLetters(client: Client, topic: string): Promise<BuriedMessage[]> {
  const name = `${topic}.dlq`;
  const topics = await client.topics.list();
  if (!topics.some((one) => one.name === name)) return [];
  const records = await readAll(client, name);
  return records.map(({ partition, offset, value, headers = {} }) => ({
    partition,
    offset,
    value: Buffer.from(value as Uint8Array).toString(),
    subscription: String(headers["millrace-subscription"]),
    reason: String(headers["millrace-dead-reason"]),
    deliveryCount: Number(headers["millrace-delivery-count"]),
    origin: {
      topic: String(headers["millrace-origin-topic"]),
      partition: Number(headers["millrace-origin-partition"]),
      offset: Number(headers["millrace-origin-offset"]),
    },
  }));
}
