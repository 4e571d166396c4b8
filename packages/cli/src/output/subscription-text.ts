import { isUtf8 } from "node:buffer";
import type { DeadLetter, PeekedMessage, SubscriptionDescription, SubscriptionInfo } from "@millrace/client";
import { jsonReplacer, recordMembers, valueToOutput } from "./record-json.ts";
import { textTable } from "./text-table.ts";
import { durationText } from "./unit-text.ts";

/** Characters of a value in a table; the rest is left out. */
const VALUE_CHARS = 60;

/** The lines of `subscription list`: one row a subscription. */
export function subscriptionListText(subscriptions: readonly SubscriptionInfo[]): string[] {
  return textTable(
    ["TOPIC", "SUBSCRIPTION", "MODE", "STATE", "LEASE", "MAX DELIVERIES"],
    subscriptions.map(({ topic, name, mode, paused, leaseMs, maxDeliveries }) => [
      topic,
      name,
      mode,
      paused ? "paused" : "active",
      mode === "stream" ? "-" : durationText(leaseMs),
      mode === "stream" ? "-" : deliveriesText(maxDeliveries),
    ]),
  );
}

/** The lines of `subscription describe`: settings and totals, then one row a partition. */
export function subscriptionDescriptionText(subscription: SubscriptionDescription): string[] {
  const isStream = subscription.mode === "stream";
  const rows: (readonly [string, string | number])[] = [
    ["topic", subscription.topic],
    ["subscription", subscription.name],
    ["mode", subscription.mode],
    ["state", subscription.paused ? "paused" : "active"],
    ["created", new Date(subscription.createdMs).toISOString()],
  ];
  if (!isStream) {
    rows.push(
      ["lease", durationText(subscription.leaseMs)],
      ["max deliveries", deliveriesText(subscription.maxDeliveries)],
      [
        "back-off",
        `${durationText(subscription.backoffMinMs)} to ${durationText(subscription.backoffMaxMs)}`,
      ],
      ["dead letters to", subscription.deadLetterTopic ?? "- (none yet)"],
    );
  }
  if (subscription.snapshots.length > 0) rows.push(["snapshots", subscription.snapshots.join(", ")]);
  rows.push(["consumers", subscription.consumers], ["lag", subscription.lag]);
  rows.push(["oldest", subscription.oldestAgeMs === null ? "-" : ageText(subscription.oldestAgeMs)]);
  if (!isStream) {
    const { available, leased, waiting, redelivered, dead, blockedByKey } = subscription;
    rows.push(
      ["available", available],
      ["leased", leased],
      ["waiting", waiting],
      ["redelivered", redelivered],
      ["dead", dead],
    );
    if (blockedByKey !== null) rows.push(["blocked by key", keyText(blockedByKey)]);
  }
  const partitions = isStream
    ? textTable(
        ["PARTITION", "CURSOR", "LOG START", "HIGH WATERMARK", "LAG", "CONSUMER"],
        subscription.partitions.map((p) => [
          p.partition,
          p.offset,
          p.logStartOffset,
          p.highWatermark,
          Math.max(0, p.highWatermark - p.offset),
          p.consumer ?? "-",
        ]),
      )
    : textTable(
        ["PARTITION", "FINISHED BELOW", "LOG START", "HIGH WATERMARK", "AVAILABLE", "LEASED", "WAITING"],
        subscription.partitions.map((p) => [
          p.partition,
          p.offset,
          p.logStartOffset,
          p.highWatermark,
          p.available,
          p.leased,
          p.waiting,
        ]),
      );
  return [...rows.map(([name, value]) => `${name.padEnd(17)}${value}`), "", ...partitions];
}

/** The lines of `peek`. */
export function peekText(messages: readonly PeekedMessage[]): string[] {
  return textTable(
    ["PARTITION", "OFFSET", "STATE", "DELIVERIES", "DUE IN", "KEY", "VALUE"],
    messages.map(({ partition, offset, state, deliveryCount, dueInMs, key, value }) => [
      partition,
      offset,
      state,
      deliveryCount,
      dueInMs === 0 ? "-" : ageText(dueInMs),
      keyText(key),
      valueText(value),
    ]),
  );
}

/** The lines of `dlq list`. */
export function deadLetterText(letters: readonly DeadLetter[]): string[] {
  return textTable(
    ["PARTITION", "OFFSET", "SUBSCRIPTION", "REASON", "DELIVERIES", "DIED", "FROM", "KEY", "VALUE"],
    letters.map(({ partition, offset, subscription, reason, deliveryCount, deadMs, origin, key, value }) => [
      partition,
      offset,
      subscription,
      reason,
      deliveryCount,
      new Date(deadMs).toISOString(),
      `${origin.topic}/${origin.partition}@${origin.offset}`,
      keyText(key),
      valueText(value),
    ]),
  );
}

/** One line of `peek --json`. */
export function peekedToJson(message: PeekedMessage): string {
  const { topic, partition, offset, timestamp, state, deliveryCount, dueInMs } = message;
  const line = { topic, partition, offset, timestamp, state, deliveryCount, dueInMs };
  return JSON.stringify({ ...line, ...recordMembers(message) }, jsonReplacer);
}

/** One line of `dlq list --json`. */
export function deadLetterToJson(letter: DeadLetter): string {
  const { topic, partition, offset, timestamp, subscription, reason, deliveryCount, deadMs, origin } = letter;
  const line = { topic, partition, offset, timestamp, subscription, reason, deliveryCount, deadMs, origin };
  return JSON.stringify({ ...line, ...recordMembers(letter) }, jsonReplacer);
}

/** One line of `subscription describe --json`. */
export function descriptionToJson(subscription: SubscriptionDescription): string {
  const { blockedByKey, ...rest } = subscription;
  return JSON.stringify({ ...rest, blockedByKey: blockedByKey === null ? null : keyText(blockedByKey) });
}

function deliveriesText(maxDeliveries: number): string {
  return maxDeliveries === 0 ? "unlimited" : String(maxDeliveries);
}

function ageText(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

function keyText(key: string | Uint8Array | undefined): string {
  if (key === undefined) return "-";
  if (typeof key === "string") return key;
  return Buffer.from(key).toString(isUtf8(key) ? "utf8" : "base64");
}

function valueText(value: unknown): string {
  const output = valueToOutput(value);
  const text = typeof output === "string" ? output : Buffer.from(output).toString("utf8");
  const line = text.replace(/\s+/g, " ");
  return line.length > VALUE_CHARS ? `${line.slice(0, VALUE_CHARS - 1)}…` : line;
}
