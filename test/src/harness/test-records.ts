import { createHash } from "node:crypto";

const BLOCK_BYTES = 4096;

/** Bytes that only this record of this producer has: no other value is a prefix or a shift of it. */
export function recordValue(producer: string, sequence: number, bytes: number): Buffer {
  const name = Buffer.from(`${producer}:${sequence}:`);
  const value = Buffer.alloc(Math.max(bytes, name.length));
  name.copy(value);
  let at = name.length;
  for (let block = 0; at < value.length; block += 1) {
    const digest = createHash("sha1").update(`${producer}:${sequence}:${block}`).digest();
    const end = Math.min(at + BLOCK_BYTES, value.length);
    value.fill(digest, at, end);
    at = end;
  }
  return value;
}

/** Producer and sequence of a value made by `recordValue`. */
export function nameOfValue(value: Uint8Array): { producer: string; sequence: number } {
  const text = Buffer.from(value.buffer, value.byteOffset, Math.min(value.length, 64)).toString("latin1");
  const [producer, sequence] = text.split(":");
  return { producer: producer ?? "", sequence: Number(sequence) };
}
