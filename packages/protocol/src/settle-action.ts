/** What a SETTLE does with records that are leased, as its rows state it. */
export const SETTLE_ACTION = {
  /** They are done. */
  ACK: 0,
  /** They are to be delivered again, after a delay. */
  NACK: 1,
  /** They are to be delivered again at once, and this delivery does not count. */
  RELEASE: 2,
  /** They go to the dead-letter topic now. */
  DEAD_LETTER: 3,
  /** The consumer needs more time for them. */
  EXTEND: 4,
} as const;

export type SettleAction = (typeof SETTLE_ACTION)[keyof typeof SETTLE_ACTION];
