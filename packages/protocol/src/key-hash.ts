const M1 = 0xcc9e2d51;
const M2 = 0x1b873593;
const TWO_21 = 0x20_0000;

/**
 * A hash of 0..2^53-1 over bytes[start, end): two of 32 bits by the steps of MurmurHash3, of which one gives all its bits
 * and the other 21. Nothing stores it, so a later release may compute another.
 */
export function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let a = 0x9747b28c ^ (end - start);
  let b = 0x3c6ef372;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    const word =
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    a = mix(a, Math.imul(word, M1));
    b = mix(b, Math.imul(word, M2));
  }
  let rest = 0;
  for (; at < end; at += 1) rest = (rest << 8) | (bytes[at] as number);
  a = finish(mix(a, Math.imul(rest, M1)));
  b = finish(mix(b, Math.imul(rest, M2)) ^ a);
  return (a >>> 0) * TWO_21 + (b >>> 11);
}

function mix(hash: number, word: number): number {
  const turned = hash ^ Math.imul((word << 15) | (word >>> 17), M2);
  return (Math.imul((turned << 13) | (turned >>> 19), 5) + 0xe6546b64) | 0;
}

function finish(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}
