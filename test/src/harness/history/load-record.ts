import { createHash } from "node:crypto";
import type { Content } from "./history-event.ts";

/** What both sides of a load agree on: bytes that only this record has, and what the history says of them. */
export function loadValue(producer: string, number: number, bytes: number): Buffer {
  const name = Buffer.from(`${producer}:${number}:`);
  const value = Buffer.alloc(Math.max(bytes, name.length), name);
  return value;
}

/** Names and digest of a record as it was given to somebody. */
export function contentOf(key: string | Uint8Array | undefined, value: unknown): Content {
  const bytes = value instanceof Uint8Array ? value : Buffer.from(JSON.stringify(value) ?? "");
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 64)).toString("latin1");
  const [producer = "", number = ""] = text.split(":");
  const keyText = key === undefined ? null : typeof key === "string" ? key : Buffer.from(key).toString();
  const hash = createHash("sha1").update(`${keyText}\n`).update(bytes);
  return { producer, number: Number(number), key: keyText, digest: hash.digest("base64").slice(0, 16) };
}
