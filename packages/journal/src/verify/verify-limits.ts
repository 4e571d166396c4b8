/** Read at once from a file that is verified. */
export const WINDOW_BYTES = 1_048_576;
/** Damaged places reported of one file; a further run finds the others. */
export const HOLES_MAX = 1_000;
