/** Handle of a timer; only its own clock can read it. */
export type TimerHandle = unknown;

/** Time as the client sees it. Tests bring their own, so that no assertion depends on how fast a machine is. */
export interface Clock {
  /** Milliseconds, monotonic; the origin means nothing. */
  now(): number;
  setTimer(callback: () => void, delayMs: number): TimerHandle;
  clearTimer(handle: TimerHandle): void;
  /** Calls back once the current turn of the event loop is over, after all microtasks. */
  afterTurn(callback: () => void): void;
}

/** What a turn's end is found with: setImmediate where there is one, else a message to oneself. */
interface TurnGlobals {
  readonly setImmediate?: (callback: () => void) => unknown;
  readonly MessageChannel: new () => {
    readonly port1: { onmessage: (() => void) | null; close(): void };
    readonly port2: { postMessage(message: null): void };
  };
}

/** The machine's clock; the same in Node and browsers. */
export function systemClock(): Clock {
  return {
    now: () => performance.now(),
    setTimer: (callback, delayMs) => setTimeout(callback, delayMs),
    clearTimer: (handle) => clearTimeout(handle as ReturnType<typeof setTimeout>),
    afterTurn: afterTurnOf(globalThis as unknown as TurnGlobals),
  };
}

function afterTurnOf(globals: TurnGlobals): (callback: () => void) => void {
  const { setImmediate } = globals;
  if (setImmediate !== undefined) return (callback) => void setImmediate(callback);
  // Browsers: setTimeout(0) is clamped to 4 ms once nested, and to 1 s in a background tab; a message is not. A channel
  // that stayed open would keep the program alive in runtimes where it could end.
  return (callback) => {
    const { port1, port2 } = new globals.MessageChannel();
    port1.onmessage = () => {
      port1.close();
      callback();
    };
    port2.postMessage(null);
  };
}
