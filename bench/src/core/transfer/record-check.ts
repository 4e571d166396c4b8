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
