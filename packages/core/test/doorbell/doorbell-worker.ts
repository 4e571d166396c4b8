import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { AWAKE, STATE_WORD } from "../../src/doorbell/doorbell-layout.ts";
import { Doorbell } from "../../src/index.ts";
import { seeded } from "../seeded.ts";
import { passGate } from "../start-gate.ts";

/** The three ways to sleep: Atomics.wait, a poke to the event loop, Atomics.waitAsync. */
export type SleeperKind = "blocked" | "parked" | "async";

/**
 * The mistakes of the canaries.
 * - no-second-look: the sleeper sleeps straight after announcing it.
 * - no-exchange: the ringer wakes without taking the announcement down, so a sleeper that is still on its way does not notice.
 * - store-instead: the ringer takes it down with a plain store, so that several ringers believe to have woken the sleeper.
 */
export type Mistake = "no-second-look" | "no-exchange" | "store-instead";

/** A player of ping-pong: writes its own counter, rings the other, and sleeps until the other's counter has followed. */
export interface PlayerData {
  role: "player";
  kind: SleeperKind;
  /** Two counters, each on a line of its own: see PING_WORD and PONG_WORD. */
  counters: SharedArrayBuffer;
  own: SharedArrayBuffer;
  other: SharedArrayBuffer;
  /** Where pokes arrive, for a parked sleeper. */
  pokes?: MessagePort;
  /** Where to poke, when the other is a parked sleeper. */
  poke?: MessagePort;
  serves: boolean;
  rounds: number;
  seed: number;
  mistake?: Mistake;
}

/** One of several that ring for one sleeper; posts how many of its rings claim to have woken it. */
export interface RingerData {
  role: "ringer";
  /** A word for each ringer, a line apart, and at the end the gate that all start behind. */
  counters: SharedArrayBuffer;
  bell: SharedArrayBuffer;
  ringer: number;
  ringers: number;
  rounds: number;
  seed: number;
  mistake?: Mistake;
}

/** Sleeps until all ringers have counted to `rounds`; posts how often it was woken. */
export interface RungData {
  role: "rung";
  counters: SharedArrayBuffer;
  bell: SharedArrayBuffer;
  ringers: number;
  rounds: number;
}

export const PING_WORD = 0;
export const PONG_WORD: number = 32;
export const LINE_WORDS: number = 32;
export const COUNTERS_BYTES: number = 256;

/** Lets some time pass that the compiler cannot remove. */
function dawdle(counters: Int32Array, turns: number): void {
  for (let i = 0; i < turns; i++) Atomics.load(counters, PING_WORD);
}

function ring(bell: Doorbell, counters: Int32Array, mistake: Mistake | undefined): boolean {
  if (mistake !== "no-exchange" && mistake !== "store-instead") return bell.ring();
  const words = new Int32Array(bell.buffer);
  if (Atomics.load(words, STATE_WORD) === AWAKE) return false;
  if (mistake === "store-instead") {
    // Asleep and not spinning: the others ring meanwhile, however few cores there are.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    Atomics.store(words, STATE_WORD, AWAKE);
  } else dawdle(counters, 2000);
  Atomics.notify(words, STATE_WORD, 1);
  return true;
}

/** Announces sleep in the player's way. @returns how it then sleeps */
function way(
  data: PlayerData,
  own: Doorbell,
): { announce: () => void; sleep: () => Promise<void> | undefined } {
  if (data.kind === "blocked") {
    return {
      announce: () => own.prepareSleep(),
      sleep: () => {
        own.wait(Number.POSITIVE_INFINITY);
        return undefined;
      },
    };
  }
  if (data.kind === "async") return { announce: () => own.prepareSleep(), sleep: () => own.waitAsync() };
  let wake = (): void => {};
  data.pokes?.on("message", () => wake());
  return {
    announce: () => own.park(),
    sleep: () =>
      new Promise((resolve) => {
        wake = resolve;
      }),
  };
}

async function play(data: PlayerData): Promise<void> {
  const counters = new Int32Array(data.counters);
  const { poke, mistake } = data;
  const own = Doorbell.attach(data.own);
  const other = Doorbell.attach(data.other, poke === undefined ? undefined : () => poke.postMessage(null));
  const random = seeded(data.seed + (data.serves ? 0 : 1));
  const [mine, theirs] = data.serves ? [PING_WORD, PONG_WORD] : [PONG_WORD, PING_WORD];
  const { announce, sleep } = way(data, own);
  // Nothing else keeps a thread that sleeps in waitAsync.
  const hold = setInterval(() => {}, 60_000);

  for (let round = 1; round <= data.rounds; round++) {
    if (data.serves) {
      Atomics.store(counters, mine, round);
      ring(other, counters, mistake);
    }
    while (Atomics.load(counters, theirs) < round) {
      if (mistake === "no-second-look") dawdle(counters, 20_000);
      announce();
      if (mistake !== "no-second-look" && Atomics.load(counters, theirs) >= round) break;
      if (mistake === "no-exchange") dawdle(counters, 20_000);
      const asleep = sleep();
      if (asleep !== undefined) await asleep;
    }
    own.cancelSleep();
    // Different delays meet the other side at every point of its way to sleep.
    dawdle(counters, random.below(3) === 0 ? random.below(20_000) : random.below(50));
    if (!data.serves) {
      Atomics.store(counters, mine, round);
      ring(other, counters, mistake);
    }
  }
  clearInterval(hold);
  data.pokes?.close();
  poke?.close();
}

function ringAll(data: RingerData): void {
  const counters = new Int32Array(data.counters);
  passGate(counters, counters.length - 1, data.ringers + 1);
  const bell = Doorbell.attach(data.bell);
  const random = seeded(data.seed + data.ringer);
  let woken = 0;
  for (let round = 1; round <= data.rounds; round++) {
    Atomics.store(counters, data.ringer * LINE_WORDS, round);
    if (ring(bell, counters, data.mistake)) woken++;
    dawdle(counters, random.below(2000));
  }
  parentPort?.postMessage({ woken });
}

function beRung(data: RungData): void {
  const counters = new Int32Array(data.counters);
  passGate(counters, counters.length - 1, data.ringers + 1);
  const bell = Doorbell.attach(data.bell);
  const state = new Int32Array(data.bell);
  const allDone = (seen: Int32Array): boolean => {
    let left = 0;
    for (let i = 0; i < data.ringers; i++) {
      const count = Atomics.load(counters, i * LINE_WORDS);
      if (count !== seen[i]) left = -1;
      else if (left === 0 && count < data.rounds) left = 1;
      seen[i] = count;
    }
    return left === 0;
  };
  const seen = new Int32Array(data.ringers);
  let rung = 0;
  for (;;) {
    const before = seen.slice();
    if (allDone(seen)) break;
    if (seen.some((count, i) => count !== before[i])) continue;
    bell.prepareSleep();
    allDone(seen);
    if (seen.some((count, i) => count !== before[i])) {
      // As cancelSleep, but tells whether somebody has rung since.
      if (Atomics.exchange(state, STATE_WORD, AWAKE) === AWAKE) rung++;
    } else {
      bell.wait(Number.POSITIVE_INFINITY);
      rung++;
    }
  }
  parentPort?.postMessage({ rung });
}

// The test imports the words above from its main thread, where there is nothing to play.
if (workerData !== null) {
  const data = workerData as PlayerData | RingerData | RungData;
  if (data.role === "player") await play(data);
  else if (data.role === "ringer") ringAll(data);
  else beRung(data);
}
