import { isUtf8 } from "node:buffer";
import type { Message, PublishResult, ReceivedRecord } from "@millrace/client";

/**
 * One line of `sub --json`: topic, partition, offset, timestamp, key, headers, value. Bytes that are valid UTF-8 are
 * shown as text. Others cannot be: a value then appears as `valueBase64`, a key as `keyBase64`, such headers in
 * `headersBase64`, each instead of its plain member. `pub --ndjson` reads all of this back.
 */
export function recordToJson(record: ReceivedRecord): string {
  const line: Record<string, unknown> = {
    topic: record.topic,
    partition: record.partition,
    offset: record.offset,
    timestamp: record.timestamp,
  };
  return JSON.stringify({ ...line, ...recordMembers(record) }, jsonReplacer);
}

/** The same for a message of a subscription, with its `deliveryCount`. */
export function messageToJson(message: Message): string {
  const { topic, partition, offset, timestamp, deliveryCount } = message;
  const line = { topic, partition, offset, timestamp, deliveryCount };
  return JSON.stringify({ ...line, ...recordMembers(message) }, jsonReplacer);
}

/** Key, headers and value of a record as the members of a line, to be made text with `jsonReplacer`. */
export function recordMembers(
  record: Pick<ReceivedRecord, "key" | "headers" | "value">,
): Record<string, unknown> {
  const members: Record<string, unknown> = {};
  if (record.key === undefined) members.key = null;
  else addMember(members, "key", record.key);
  addHeaders(members, record.headers);
  addMember(members, "value", record.value);
  return members;
}

/** One line of `pub --json`. */
export function ackToJson(result: PublishResult): string {
  const { topic, partition, offset, durability } = result;
  return JSON.stringify({ topic, partition, offset, durability });
}

/** One line of `pub` for values given as arguments. */
export function ackToText(result: PublishResult): string {
  return `${result.topic} partition ${result.partition} offset ${result.offset} ${result.durability}`;
}

/** A value as `sub` prints it without --json: bytes and text as they are, anything else as JSON. */
export function valueToOutput(value: unknown): string | Uint8Array {
  if (typeof value === "string" || value instanceof Uint8Array) return value;
  return JSON.stringify(value, jsonReplacer) ?? "null";
}

function addMember(line: Record<string, unknown>, name: string, content: unknown): void {
  if (!(content instanceof Uint8Array)) line[name] = content === undefined ? null : content;
  else if (isUtf8(content)) line[name] = asBuffer(content).toString("utf8");
  else line[`${name}Base64`] = asBuffer(content).toString("base64");
}

function addHeaders(line: Record<string, unknown>, headers: ReceivedRecord["headers"]): void {
  const text: Record<string, string> = {};
  const encoded: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers ?? {})) {
    if (typeof value === "string") text[name] = value;
    else if (isUtf8(value)) text[name] = asBuffer(value).toString("utf8");
    else encoded[name] = asBuffer(value).toString("base64");
  }
  line.headers = text;
  if (Object.keys(encoded).length > 0) line.headersBase64 = encoded;
}

/** MessagePack knows more than JSON: wide integers become decimal strings, maps objects, nested bytes base64. */
export function jsonReplacer(this: unknown, name: string, value: unknown): unknown {
  // `value` has been through toJSON already, which turns a Buffer into an array of numbers.
  const original = (this as Record<string, unknown>)[name];
  if (original instanceof Uint8Array) return asBuffer(original).toString("base64");
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Set) return [...value];
  return value;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
