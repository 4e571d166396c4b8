import { isUtf8 } from "node:buffer";
import type { HeaderValue, OutgoingRecord } from "@millrace/client";
import { CommandError } from "../command-error.ts";

/** What the command line says about every record of a `pub`. */
export interface RecordDefaults {
  readonly key?: string | undefined;
  readonly headers?: Readonly<Record<string, HeaderValue>> | undefined;
  readonly partition?: number | undefined;
}

/** A line as a string if it is valid UTF-8, else as the bytes it is. */
export function textOrBytes(line: Uint8Array): string | Uint8Array {
  if (!isUtf8(line)) return line;
  return Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString("utf8");
}

/** A record whose value is the line itself. */
export function recordOfLine(line: Uint8Array, defaults: RecordDefaults): OutgoingRecord {
  return { ...defaults, value: textOrBytes(line) };
}

/**
 * A record from a JSON object as `sub --json` prints it: value or valueBase64, and optionally key or keyBase64,
 * headers, headersBase64, partition. Other members, such as offset and timestamp, are ignored. What the object leaves
 * out comes from `defaults`. Throws INVALID_RECORD; `where` names the line.
 */
export function recordOfJson(text: string, where: string, defaults: RecordDefaults): OutgoingRecord {
  const object = parseObject(text, where);
  const value = "value" in object ? object.value : base64Member(object, "valueBase64", where);
  if (value === undefined) throw invalid(where, "has neither value nor valueBase64");
  const key = stringMember(object, "key", where) ?? base64Member(object, "keyBase64", where) ?? defaults.key;
  const partition = object.partition ?? defaults.partition;
  if (partition !== undefined && !(Number.isSafeInteger(partition) && Number(partition) >= 0)) {
    throw invalid(where, "partition must be an integer that is not negative");
  }
  return {
    key,
    headers: headersOf(object, where, defaults),
    value,
    partition: partition as number | undefined,
  };
}

function parseObject(text: string, where: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw invalid(where, `is not JSON: ${(cause as Error).message}`, cause);
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw invalid(where, "is not a JSON object");
  }
  return parsed as Record<string, unknown>;
}

function headersOf(
  object: Record<string, unknown>,
  where: string,
  defaults: RecordDefaults,
): Record<string, HeaderValue> | undefined {
  const plain = object.headers ?? undefined;
  const encoded = object.headersBase64 ?? undefined;
  if (plain === undefined && encoded === undefined) return defaults.headers;
  const headers: Record<string, HeaderValue> = { ...defaults.headers };
  for (const [name, value] of entriesOf(plain, "headers", where)) headers[name] = value;
  for (const [name, value] of entriesOf(encoded, "headersBase64", where)) {
    headers[name] = decodeBase64(value, `headersBase64.${name}`, where);
  }
  return headers;
}

function entriesOf(member: unknown, name: string, where: string): [string, string][] {
  if (member === undefined) return [];
  if (typeof member !== "object" || member === null || Array.isArray(member)) {
    throw invalid(where, `${name} must be an object of strings`);
  }
  const entries = Object.entries(member);
  if (!entries.every((entry): entry is [string, string] => typeof entry[1] === "string")) {
    throw invalid(where, `${name} must be an object of strings`);
  }
  return entries;
}

function stringMember(object: Record<string, unknown>, name: string, where: string): string | undefined {
  const member = object[name] ?? undefined;
  if (member !== undefined && typeof member !== "string") throw invalid(where, `${name} must be a string`);
  return member;
}

function base64Member(object: Record<string, unknown>, name: string, where: string): Uint8Array | undefined {
  const member = stringMember(object, name, where);
  return member === undefined ? undefined : decodeBase64(member, name, where);
}

function decodeBase64(text: string, name: string, where: string): Uint8Array {
  // Buffer.from skips what is not base64 instead of refusing it.
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) {
    throw invalid(where, `${name} is not base64`);
  }
  return Buffer.from(text, "base64");
}

function invalid(where: string, what: string, cause?: unknown): CommandError {
  return new CommandError("INVALID_RECORD", `${where} ${what}`, { cause });
}
