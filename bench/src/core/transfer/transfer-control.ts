/** Words that the threads of a sample share beside the queue, each on a line of its own. */
const LINE_WORDS = 32;

/** Threads that are set up. */
export const READY_WORD = 0;
/** 1: begin. */
export const GO_WORD: number = LINE_WORDS;
/** 1: the window is over; finish what you are at. */
export const STOP_WORD: number = 2 * LINE_WORDS;
/** Producers that have ended; whoever reads all of them here may trust TOTAL_WORD. */
export const ENDED_WORD: number = 3 * LINE_WORDS;
/** Records that the producers which have ended sent. */
export const TOTAL_WORD: number = 4 * LINE_WORDS;
/** post-message only: records that the consumer has seen, which bounds what is in flight. */
export const SEEN_WORD: number = 5 * LINE_WORDS;

const CONTROL_WORDS = 6 * LINE_WORDS;

export function allocateControl(): SharedArrayBuffer {
  return new SharedArrayBuffer(4 * CONTROL_WORDS);
}

/** A thread of the sample: says that it is set up and sleeps until all are. */
export function waitForStart(control: Int32Array): void {
  Atomics.add(control, READY_WORD, 1);
  Atomics.wait(control, GO_WORD, 0);
}
