import { copyBytes } from "../../src/index.ts";

const LENGTHS = [
  0, 1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 159, 160, 161, 255, 256, 511, 512, 1000, 4103, 16_384, 33_000,
];
const SIZE = 33_100;

/**
 * Copies every length at every alignment between private and shared memory, with the way of copying that this platform has.
 *
 * @returns how many copies were made. @throws Error at the first wrong byte.
 */
export function checkCopies(): number {
  const memories = [(): ArrayBufferLike => new ArrayBuffer(SIZE), () => new SharedArrayBuffer(SIZE)];
  let copies = 0;
  for (const makeSource of memories) {
    for (const makeTarget of memories) {
      const source = new Uint8Array(makeSource());
      for (let i = 0; i < SIZE; i++) source[i] = 1 + (i % 251);
      const target = new Uint8Array(makeTarget());
      for (const length of LENGTHS) {
        for (let i = 0; i < 64; i++) {
          copyOnce(target, i & 7, source, i >> 3, length);
          copies++;
        }
      }
    }
  }
  return copies;
}

function copyOnce(
  target: Uint8Array,
  targetStart: number,
  source: Uint8Array,
  sourceStart: number,
  length: number,
): void {
  target.fill(0);
  copyBytes(target, targetStart, source, sourceStart, length);
  // What lies beside it, for a little; for long copies the rest would only take time.
  const end = Math.min(SIZE, targetStart + length + 64);
  for (let i = 0; i < end; i++) {
    const inside = i >= targetStart && i < targetStart + length;
    const wanted = inside ? source[sourceStart + i - targetStart] : 0;
    if (target[i] !== wanted) throw new Error(`byte ${i} of ${length}, ${sourceStart} -> ${targetStart}`);
  }
}
