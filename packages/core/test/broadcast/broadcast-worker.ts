import { parentPort, workerData } from "node:worker_threads";
import { BroadcastReceiver, BroadcastTransmitter, CopyBroadcastReceiver, Doorbell } from "../../src/index.ts";
import { seeded } from "../seeded.ts";
import { passGate } from "../start-gate.ts";

/**
 * The mistakes of the canaries.
 * - late-intent: the transmitter says what it overwrites after it has.
 * - no-validate: the receiver believes what it has read.
 */
export type Mistake = "late-intent" | "no-validate";

export interface StressData {
  role: "transmitter" | "receiver";
  /** How the receiver reads: a copy of each record, or where it lies. */
  reads: "copy" | "in place";
  broadcast: SharedArrayBuffer;
  /** One of each receiver; a receiver has one. */
  bells: SharedArrayBuffer[];
  gate: SharedArrayBuffer;
  parties: number;
  /** Records that are transmitted. */
  count: number;
  /** How many records the transmitter sends in one go, on average, before it gives its core away. */
  burst: number;
  /** How long this thread dawdles between records, at most. */
  slowness: number;
  seed: number;
  mistake?: Mistake;
}

/** What a receiver has to say at the end. */
export interface Report {
  received: number;
  missed: number;
  lapped: number;
  problem: string | undefined;
}

const data = workerData as StressData;
const gate = new Int32Array(data.gate);
const random = seeded(data.seed);

/** Lets some time pass that the compiler cannot remove. */
function dawdle(most: number): void {
  const turns = most === 0 ? 0 : random.below(most);
  for (let i = 0; i < turns; i++) Atomics.load(gate, 0);
}

/** Payload: words mixed from the sequence, as many as that says, and a checksum over them at the end. */
function wordCount(sequence: number, lengthMax: number): number {
  return 1 + ((Math.imul(sequence, 0x9e3779b1) >>> 8) % (lengthMax >> 2));
}

function wordOf(sequence: number, i: number): number {
  return Math.imul(sequence + i, 0x85ebca6b) ^ sequence;
}

function transmit(): void {
  const transmitter = BroadcastTransmitter.attach(data.broadcast);
  const bells = data.bells.map((bell) => Doorbell.attach(bell));
  const { words, maxMessageLength } = transmitter;
  const announce = Reflect.get(transmitter, "announce") as (end: number) => void;
  let late = 0;
  if (data.mistake === "late-intent") {
    Object.defineProperty(transmitter, "announce", {
      value: (end: number) => {
        late = end;
      },
    });
  }
  passGate(gate, 0, data.parties);
  for (let sequence = 0; sequence < data.count; sequence++) {
    const count = wordCount(sequence, maxMessageLength);
    const index = transmitter.claim(1 + (sequence & 0xffff), count * 4);
    let sum = 0;
    for (let i = 0; i < count - 1; i++) {
      const word = wordOf(sequence, i);
      words[(index >> 2) + i] = word;
      sum = (Math.imul(sum, 31) + word) | 0;
    }
    words[(index >> 2) + count - 1] = sum;
    if (data.mistake === "late-intent") {
      dawdle(data.slowness);
      announce.call(transmitter, late);
    }
    transmitter.commit(index);
    for (const bell of bells) bell.ring();
    dawdle(data.slowness);
    // With fewer cores than threads the receivers would else come once in a time slice.
    if (random.below(data.burst) === 0) Atomics.wait(gate, 0, data.parties, 0.02);
  }
}

/** @param word reads one word of the payload */
function problemOf(
  sequence: number,
  type: number,
  length: number,
  lengthMax: number,
  word: (i: number) => number,
): string | undefined {
  const count = wordCount(sequence, lengthMax);
  if (type !== 1 + (sequence & 0xffff) || length !== count * 4)
    return `header of ${sequence}: ${type} ${length}`;
  let sum = 0;
  for (let i = 0; i < count - 1; i++) {
    const read = word(i);
    if (read !== wordOf(sequence, i)) return `torn: word ${i} of ${count} of record ${sequence}`;
    sum = (Math.imul(sum, 31) + read) | 0;
  }
  return word(count - 1) === sum ? undefined : `checksum of ${sequence}`;
}

/** Receives until the last record, however many it misses. */
function receive(report: Report): void {
  const bell = Doorbell.attach(data.bells[0] as SharedArrayBuffer);
  const source = data.reads === "copy" ? copied(report) : inPlace(report);
  passGate(gate, 0, data.parties);
  let last = -1;
  while (last < data.count - 1 && report.problem === undefined) {
    let found = source.receive();
    if (found === 0) {
      bell.prepareSleep();
      found = source.receive();
      if (found === 0) bell.wait(Number.POSITIVE_INFINITY);
      else bell.cancelSleep();
    }
    if (found === 0) continue;
    const sequence = source.receiver.sequence;
    if (sequence < last) report.problem = `record ${sequence} after ${last}`;
    if (source.whole()) last = sequence;
    dawdle(data.slowness);
  }
  report.missed = source.receiver.missedCount;
  report.lapped = source.receiver.lappedCount;
}

interface Source {
  receiver: { readonly sequence: number; readonly missedCount: number; readonly lappedCount: number };
  receive(): number;
  /** Whether the last one was received, and not overwritten before it could be. */
  whole(): boolean;
}

function copied(report: Report): Source {
  let told = 0;
  let handed = false;
  const receiver = CopyBroadcastReceiver.attach(data.broadcast, (missed) => {
    told += missed;
  });
  const lengthMax = BroadcastReceiver.attach(data.broadcast).maxMessageLength;
  let words: Int32Array | undefined;
  const handler = (type: number, bytes: Uint8Array, length: number): void => {
    words ??= new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
    const read = words;
    report.problem ??= problemOf(receiver.sequence, type, length, lengthMax, (i) => read[i] as number);
    if (told !== receiver.missedCount) report.problem ??= `told ${told} of ${receiver.missedCount}`;
    report.received++;
    handed = true;
  };
  return {
    receiver,
    receive() {
      handed = false;
      return receiver.receive(handler);
    },
    whole: () => handed,
  };
}

function inPlace(report: Report): Source {
  const receiver = BroadcastReceiver.attach(data.broadcast);
  let whole = false;
  return {
    receiver,
    receive() {
      whole = false;
      if (!receiver.receiveNext()) return 0;
      const { words, index, sequence, type, length } = receiver;
      const problem = problemOf(sequence, type, length, receiver.maxMessageLength, (i) => {
        // Slow at the middle of some, so that the transmitter comes past.
        if (i === 5 && (sequence & 7) === 0) dawdle(20 * data.slowness);
        return words[(index >> 2) + i] as number;
      });
      whole = data.mistake === "no-validate" || receiver.validate();
      if (!whole) return 1;
      report.problem ??= problem;
      report.received++;
      return 1;
    },
    whole: () => whole,
  };
}

if (data.role === "transmitter") {
  transmit();
} else {
  const report: Report = { received: 0, missed: 0, lapped: 0, problem: undefined };
  try {
    receive(report);
  } catch (error) {
    report.problem = String((error as Error).stack);
  }
  parentPort?.postMessage(report);
}
