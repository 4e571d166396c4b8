/**
 * What is in a record and how the consumer looks at it, the same for every carrier: word 0 is the record's
 * sequence number, the others are fixed. The consumer adds up one 32-bit word of every 64 bytes, beginning with the
 * first: each cache line of the payload has to reach its core, and little is spent on looking.
 */

/** A 32-bit word in each of these many is read. */
export const TOUCHED_WORD_STRIDE = 16;

/** What word `index` (1 and up) of every record holds. */
export function patternWord(index: number): number {
  return Math.imul(index, 0x9e37_79b1);
}

/** A private record to copy from, with a sequence number of 0. */
export function sourceRecord(recordBytes: number): Int32Array {
  const words = new Int32Array(recordBytes >> 2);
  for (let i = 1; i < words.length; i++) words[i] = patternWord(i);
  return words;
}

/** What the straight-line fill and copy below are about. */
export const STRAIGHT_BYTES = 64;

/** Writes a record of STRAIGHT_BYTES in place, field by field, as an encoder of a fixed layout does. */
export function fillStraight(words: Int32Array, at: number, sequence: number): void {
  words[at] = sequence;
  words[at + 1] = patternWord(1);
  words[at + 2] = patternWord(2);
  words[at + 3] = patternWord(3);
  words[at + 4] = patternWord(4);
  words[at + 5] = patternWord(5);
  words[at + 6] = patternWord(6);
  words[at + 7] = patternWord(7);
  words[at + 8] = patternWord(8);
  words[at + 9] = patternWord(9);
  words[at + 10] = patternWord(10);
  words[at + 11] = patternWord(11);
  words[at + 12] = patternWord(12);
  words[at + 13] = patternWord(13);
  words[at + 14] = patternWord(14);
  words[at + 15] = patternWord(15);
}

/** Copies a record of STRAIGHT_BYTES. */
export function copyStraight(words: Int32Array, at: number, source: Int32Array): void {
  words[at] = source[0] as number;
  words[at + 1] = source[1] as number;
  words[at + 2] = source[2] as number;
  words[at + 3] = source[3] as number;
  words[at + 4] = source[4] as number;
  words[at + 5] = source[5] as number;
  words[at + 6] = source[6] as number;
  words[at + 7] = source[7] as number;
  words[at + 8] = source[8] as number;
  words[at + 9] = source[9] as number;
  words[at + 10] = source[10] as number;
  words[at + 11] = source[11] as number;
  words[at + 12] = source[12] as number;
  words[at + 13] = source[13] as number;
  words[at + 14] = source[14] as number;
  words[at + 15] = source[15] as number;
}

/** Sum of the touched words of a record whose sequence number is 0. */
export function patternSum(recordBytes: number): number {
  let sum = 0;
  for (let i = TOUCHED_WORD_STRIDE; i < recordBytes >> 2; i += TOUCHED_WORD_STRIDE) {
    sum = (sum + patternWord(i)) | 0;
  }
  return sum;
}

/**
 * Reads a record in place.
 *
 * @throws Error unless it is record `sequence`, whole.
 */
export function checkRecord(
  words: Int32Array,
  start: number,
  count: number,
  sequence: number,
  pattern: number,
): void {
  let sum = 0;
  for (let i = start; i < start + count; i += TOUCHED_WORD_STRIDE) sum = (sum + (words[i] as number)) | 0;
  if (sum !== ((pattern + sequence) | 0)) refuse(words[start] as number, sequence, sum, pattern);
}

function refuse(found: number, sequence: number, sum: number, pattern: number): never {
  throw new Error(
    `wrong record: sequence=${found} expected=${sequence} sum=${sum} expected=${(pattern + sequence) | 0}`,
  );
}
