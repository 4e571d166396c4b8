import { readFileSync } from "node:fs";
import type { FrameTypeName } from "../src/index.ts";

/** One frame of vectors/frames.json. */
export interface FrameVector {
  readonly frame: FrameTypeName;
  readonly name: string;
  /** Valid, but not how this package writes it. */
  readonly decodeOnly?: boolean;
  readonly value: unknown;
  readonly hex: string;
}

export interface BatchVector {
  readonly name: string;
  readonly decodeOnly?: boolean;
  readonly flags: number;
  readonly count: number;
  readonly records: unknown;
  readonly checksum: number;
  readonly batch: string;
  readonly storedPayload: string | null;
}

export interface Refused {
  readonly name: string;
  readonly code: string;
}

/** The content of packages/protocol/vectors/<name>.json; binary is `{"$bin": hex}` there. */
export function readVectors<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), "utf8")) as T;
}

export function bytesOf(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex.replaceAll(/\s/g, ""), "hex"));
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** A value with `{"$bin": hex}` for binary, and without undefined members, as the vectors have it. */
export function toJson(value: unknown): unknown {
  if (value instanceof Uint8Array) return { $bin: hexOf(value) };
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(members.map(([name, member]) => [name, toJson(member)]));
}

/** The value that toJson has made. */
export function fromJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value !== "object" || value === null) return value;
  const object = value as Record<string, unknown>;
  if (typeof object.$bin === "string") return bytesOf(object.$bin);
  return Object.fromEntries(Object.entries(object).map(([name, member]) => [name, fromJson(member)]));
}
