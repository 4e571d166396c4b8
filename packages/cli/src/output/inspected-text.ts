import type { InspectedItem } from "@millrace/broker/internal";
import { jsonReplacer, recordMembers } from "./record-json.ts";

const POSITION_WIDTH = 10;

/** A line of `inspect --json`: kind, position and what the item holds. */
export function itemToJson({ kind, position, fields, record }: InspectedItem): string {
  return JSON.stringify({ kind, position, ...fields, ...recordPart(record) }, jsonReplacer);
}

/** The same for people. */
export function itemToText(item: InspectedItem): string {
  const { kind, position, fields, record } = item;
  const start = String(position).padStart(POSITION_WIDTH);
  if (kind === "entry") return `${start}  ${entryText(fields)}`;
  if (kind === "damage") return `${start}  DAMAGED: ${String(fields.sentence)}`;
  if (kind === "change") return `${start}    ${JSON.stringify(fields.change, jsonReplacer)}`;
  if (record !== undefined) return `${start}    ${JSON.stringify(recordPart(record), jsonReplacer)}`;
  return `${start}  ${kind} ${pairsText(fields)}`;
}

function recordPart(record: InspectedItem["record"]): Record<string, unknown> {
  if (record === undefined) return {};
  const { partition, offset } = record;
  const { removed, timestamp, ...content } = record.record;
  if (removed) return { partition, offset, removed };
  const time = timestamp === undefined ? {} : { timestamp };
  return { partition, offset, ...time, ...recordMembers(content) };
}

function entryText(fields: Readonly<Record<string, unknown>>): string {
  const { type, length, sequence, epoch, syncedPosition, checksum, ...rest } = fields;
  const where = `sequence=${sequence} epoch=${epoch} synced=${syncedPosition} bytes=${length} checksum=${checksum}`;
  if (type !== "batch") return `${String(type)} ${where}`;
  const { topicId, partition, baseOffset, count, appendTime, producerId, producerEpoch, baseSequence } = rest;
  const end = Number(baseOffset) + Number(count) - 1;
  const producer = producerId === 0 ? "" : ` producer=${producerId}/${producerEpoch}/${baseSequence}`;
  return `batch topic=${topicId} partition=${partition} offsets=${baseOffset}-${end} time=${timeText(appendTime)}${producer} ${where}`;
}

function timeText(time: unknown): string {
  const date = new Date(Number(time));
  return Number.isNaN(date.getTime()) ? String(time) : date.toISOString();
}

function pairsText(fields: Readonly<Record<string, unknown>>): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(
      ([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value, jsonReplacer)}`,
    )
    .join(" ");
}
