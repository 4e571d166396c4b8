/**
 * Returns when all parties have come: threads take long to start, and without a gate the first would be done before the last
 * begins.
 *
 * @param words shared by all, zero at the beginning.
 * @param index of a word of its own.
 */
export function passGate(words: Int32Array, index: number, parties: number): void {
  let passed = Atomics.add(words, index, 1) + 1;
  if (passed === parties) Atomics.notify(words, index);
  for (; passed < parties; passed = Atomics.load(words, index)) Atomics.wait(words, index, passed);
}
