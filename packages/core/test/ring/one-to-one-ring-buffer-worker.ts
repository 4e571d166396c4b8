import { parentPort, workerData } from "node:worker_threads";
import { Doorbell, INSUFFICIENT_CAPACITY, OneToOneRingBuffer } from "../../src/index.ts";
import { RECORD_HEADER_BYTES } from "../../src/ring/ring-layout.ts";
import { type Seeded, seeded } from "../seeded.ts";

/** One side of the stress test. Both sides know the seed, so the consumer knows what each record must hold. */
export interface RingWorkerData {
  /** A victim publishes all its records, commits some more, opens a claim and waits to be terminated. */
  role: "producer" | "consumer" | "victim";
  ring: SharedArrayBuffer;
  /** Rung when there are records. */
  records: SharedArrayBuffer;
  /** Rung when there is space. */
  space: SharedArrayBuffer;
  count: number;
  lengthMax: number;
  seed: number;
}

/** Payload: sequence u32, a word for each further 4 bytes mixed from it, and a checksum over all of them at the end. */
function fill(words: Int32Array, start: number, count: number, sequence: number): void {
  let sum = 0;
  for (let i = 0; i < count - 1; i++) {
    const word = Math.imul(sequence + i, 0x9e3779b1) ^ sequence;
    words[start + i] = word;
    sum = (Math.imul(sum, 31) + word) | 0;
  }
  words[start + count - 1] = sum;
}

function verify(words: Int32Array, start: number, count: number, sequence: number): string | undefined {
  let sum = 0;
  for (let i = 0; i < count - 1; i++) {
    const word = Math.imul(sequence + i, 0x9e3779b1) ^ sequence;
    if (words[start + i] !== word) return `record ${sequence}: word ${i} of ${count} differs`;
    sum = (Math.imul(sum, 31) + word) | 0;
  }
  return words[start + count - 1] === sum ? undefined : `record ${sequence}: checksum differs`;
}

function wordCount(random: Seeded, lengthMax: number): number {
  return 1 + random.below(lengthMax >> 2);
}

function produce(data: RingWorkerData): void {
  const ring = OneToOneRingBuffer.attach(data.ring);
  const records = Doorbell.attach(data.records);
  const space = Doorbell.attach(data.space);
  const random = seeded(data.seed);
  const pace = seeded(data.seed + 1);
  for (let sequence = 0; sequence < data.count; sequence++) {
    const count = wordCount(random, data.lengthMax);
    let index = ring.tryClaim(1 + (sequence & 0xffff), count * 4);
    while (index === INSUFFICIENT_CAPACITY) {
      if (ring.publish()) records.ring();
      space.prepareSleep();
      index = ring.tryClaim(1 + (sequence & 0xffff), count * 4);
      if (index === INSUFFICIENT_CAPACITY) space.wait(Number.POSITIVE_INFINITY);
      else space.cancelSleep();
    }
    fill(ring.words, index >> 2, count, sequence);
    ring.commit(index);
    if (pace.below(16) === 0 && ring.publish()) records.ring();
  }
  if (ring.publish()) records.ring();
}

function consume(data: RingWorkerData): string {
  const ring = OneToOneRingBuffer.attach(data.ring);
  const records = Doorbell.attach(data.records);
  const space = Doorbell.attach(data.space);
  const random = seeded(data.seed);
  const pace = seeded(data.seed + 2);
  const { words } = ring;
  let sequence = 0;
  while (sequence < data.count) {
    if (ring.poll() === 0) {
      records.prepareSleep();
      if (ring.poll() === 0) records.wait(Number.POSITIVE_INFINITY);
      else records.cancelSleep();
    }
    for (let index = ring.next(); index >= 0; index = ring.next()) {
      const word = index >> 2;
      const count = wordCount(random, data.lengthMax);
      if (words[word] !== count * 4 + RECORD_HEADER_BYTES) return `record ${sequence}: length ${words[word]}`;
      if (words[word + 1] !== 1 + (sequence & 0xffff)) return `record ${sequence}: type ${words[word + 1]}`;
      const difference = verify(words, (index + RECORD_HEADER_BYTES) >> 2, count, sequence);
      if (difference !== undefined) return difference;
      ring.advance();
      sequence++;
    }
    // Often what was read stays held over the next drains, as a tail cache does, but never so much that no record fits.
    const held = ring.readPosition - ring.headPosition;
    ring.release(pace.below(2) === 0 || held > ring.capacity / 2 ? ring.readPosition : ring.headPosition);
    space.ring();
  }
  return "ok";
}

function fallSilent(data: RingWorkerData): void {
  const ring = OneToOneRingBuffer.attach(data.ring);
  const payload = new Uint8Array(8).fill(1);
  for (let i = 0; i < data.count; i++) ring.write(1, payload);
  ring.publish();
  ring.write(2, payload);
  ring.words[ring.tryClaim(3, 16) >> 2] = -1;
  parentPort?.postMessage("claimed");
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

const data = workerData as RingWorkerData;
try {
  if (data.role === "producer") produce(data);
  else if (data.role === "victim") fallSilent(data);
  else parentPort?.postMessage(consume(data));
} catch (error) {
  parentPort?.postMessage(`${data.role}: ${(error as Error).stack}`);
}
