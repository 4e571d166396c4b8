/**
 * Runs once what has arrived by now was read. After a pause of this process a deadline and the answer that it was set for are
 * both due, and timers go first. Twice, since reading pauses at a line's end and goes on in the next turn.
 */
export function afterPendingInput(run: () => void): void {
  setImmediate(() => setImmediate(run));
}
