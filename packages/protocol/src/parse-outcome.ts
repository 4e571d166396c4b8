/** Parsed; every field is valid. */
export const PARSED = 0;
/** Not what the grammar says, or it ends too early: answer MALFORMED_FRAME (frame) or INVALID_BATCH (batch). */
export const MALFORMED = -1;
/** Well formed, but it uses what this release does not implement: answer UNSUPPORTED_FEATURE. Fields are valid. */
export const UNSUPPORTED = -2;
