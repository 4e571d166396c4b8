import { utf8ByteLength, writeUtf8 } from "./utf8.ts";

const SEED = 0x9747b28c;
const M = 0x5bd1e995;
const R = 24;

let scratch: Uint8Array = new Uint8Array(256);

/**
 * MurmurHash2 as Kafka's Java client computes it (org.apache.kafka.common.utils.Utils.murmur2), over the first
 * `length` bytes: a signed 32 bit integer.
 */
export function murmur2(bytes: Uint8Array, length: number = bytes.length): number {
  let hash = SEED ^ length;
  let at = 0;
  for (; at + 4 <= length; at += 4) {
    let k =
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    k = Math.imul(k, M);
    k ^= k >>> R;
    k = Math.imul(k, M);
    hash = Math.imul(hash, M) ^ k;
  }
  const rest = length - at;
  if (rest === 3) hash ^= (bytes[at + 2] as number) << 16;
  if (rest >= 2) hash ^= (bytes[at + 1] as number) << 8;
  if (rest >= 1) {
    hash ^= bytes[at] as number;
    hash = Math.imul(hash, M);
  }
  hash ^= hash >>> 13;
  hash = Math.imul(hash, M);
  return hash ^ (hash >>> 15);
}

/** The partition of a key, of `partitions`: as Kafka's default partitioner, over the key's raw (UTF-8) bytes. */
export function partitionForKey(key: string | Uint8Array, partitions: number): number {
  if (typeof key !== "string") return (murmur2(key) & 0x7fff_ffff) % partitions;
  const needed = utf8ByteLength(key);
  if (needed > scratch.length) scratch = new Uint8Array(needed * 2);
  writeUtf8(scratch, 0, key, needed);
  return (murmur2(scratch, needed) & 0x7fff_ffff) % partitions;
}
