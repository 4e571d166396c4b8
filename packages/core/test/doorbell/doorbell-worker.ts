import { type MessagePort, workerData } from "node:worker_threads";
import { Doorbell } from "../../src/index.ts";
import { seeded } from "../seeded.ts";

/** A player of ping-pong: writes its own counter, rings the other, and sleeps until the other's counter has followed. */
export interface DoorbellWorkerData {
  /** Two counters, each on a line of its own: see PING_WORD and PONG_WORD. */
  counters: SharedArrayBuffer;
  own: SharedArrayBuffer;
  other: SharedArrayBuffer;
  /** Given when the other is an event loop. */
  port?: MessagePort;
  serves: boolean;
  rounds: number;
  seed: number;
  /** The mistake of the canary: no second look after announcing sleep. */
  withoutSecondLook?: boolean;
}

export const PING_WORD = 0;
export const PONG_WORD: number = 32;
export const COUNTERS_BYTES: number = 256;

/** Lets some time pass that the compiler cannot remove. */
function dawdle(counters: Int32Array, turns: number): void {
  for (let i = 0; i < turns; i++) Atomics.load(counters, PING_WORD);
}

function play(data: DoorbellWorkerData): void {
  const counters = new Int32Array(data.counters);
  const port = data.port;
  const own = Doorbell.attach(data.own);
  const other = Doorbell.attach(data.other, port === undefined ? undefined : () => port.postMessage(null));
  const random = seeded(data.seed + (data.serves ? 0 : 1));
  const [mine, theirs] = data.serves ? [PING_WORD, PONG_WORD] : [PONG_WORD, PING_WORD];

  const sleepUntil = (round: number): void => {
    while (Atomics.load(counters, theirs) < round) {
      if (data.withoutSecondLook === true) dawdle(counters, 20_000);
      own.prepareSleep();
      if (data.withoutSecondLook !== true && Atomics.load(counters, theirs) >= round) own.cancelSleep();
      else own.wait(Number.POSITIVE_INFINITY);
    }
  };

  for (let round = 1; round <= data.rounds; round++) {
    if (!data.serves) sleepUntil(round);
    // Different delays meet the other side at every point of its way to sleep.
    dawdle(counters, random.below(3) === 0 ? random.below(20_000) : random.below(50));
    Atomics.store(counters, mine, round);
    other.ring();
    if (data.serves) sleepUntil(round);
  }
}

// The test imports the words above from its main thread, where there is nothing to play.
if (workerData !== null) play(workerData as DoorbellWorkerData);
