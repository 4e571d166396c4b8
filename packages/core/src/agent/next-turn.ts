/** Runs `callback` in a later turn of this thread's event loop, after what is due there now has had its own. */
export function nextTurn(callback: () => void): void {
  if (typeof setImmediate === "function") setImmediate(callback);
  else if (typeof MessageChannel === "function") postTurn(callback);
  else setTimeout(callback, 0);
}

/** Browsers have no setImmediate and hold back timers; a message to oneself is a task like any other. */
let turns: InstanceType<typeof MessageChannel> | undefined;
let queue: (() => void)[] = [];

function postTurn(callback: () => void): void {
  if (turns === undefined) {
    turns = new MessageChannel();
    (turns.port1 as { onmessage?: () => void }).onmessage = runQueue;
  }
  if (queue.push(callback) === 1) turns.port2.postMessage(null);
}

function runQueue(): void {
  const due = queue;
  queue = [];
  for (let i = 0; i < due.length; i++) {
    try {
      (due[i] as () => void)();
    } catch (error) {
      // The others have their turn all the same; the error is nobody's to catch, as it would be from a timer.
      setTimeout(() => {
        throw error;
      }, 0);
    }
  }
}
