/** Randomness as the client needs it. Tests bring their own. */
export interface Entropy {
  /** A fraction in [0, 1), for back-off only. */
  fraction(): number;
  /** An integer in 1..2^53-1, unpredictable: two producers that drew the same one would fence each other. */
  producerId(): number;
}

const TWO_32 = 0x1_0000_0000;

/** The machine's randomness; the same in Node and browsers. */
export function systemEntropy(): Entropy {
  return {
    fraction: () => Math.random(),
    producerId: () => {
      const words = new Uint32Array(2);
      let id = 0;
      while (id === 0) {
        crypto.getRandomValues(words);
        id = ((words[0] as number) & 0x1f_ffff) * TWO_32 + (words[1] as number);
      }
      return id;
    },
  };
}
