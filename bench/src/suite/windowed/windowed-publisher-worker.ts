/**
 * The publishing thread of a windowed load: publishes as fast as the client takes it, until the window is full, and goes on
 * once a part of it is free. Who goes on with each single place sends one record at a time, whatever its batches could hold.
 */
import { parentPort, workerData } from "node:worker_threads";
import type { Driver, DriverSettings } from "@millrace/load";
import { delay } from "@millrace/load/internal";
import { WindowWords } from "./window-words.ts";

export interface PublisherSetup {
  readonly driver: string;
  readonly settings: DriverSettings;
  readonly words: SharedArrayBuffer;
  readonly windowRecords: number;
  readonly keys: number;
}

/** Records between two looks at the window. */
const BURST_RECORDS = 64;
/** How long it waits for a place in the window: timers know nothing shorter, and a window holds far more. */
const POLL_MS = 1;
/** Part of a full window that is free again when publishing goes on. */
const RESUME_FREE_PART = 0.5;

const setup = workerData as PublisherSetup;
const words = new WindowWords(setup.words);
const { driver } = (await import(setup.driver)) as { driver: Driver };
const value = Buffer.alloc(setup.settings.valueBytes, "x");
const keys = Array.from({ length: setup.keys }, (_, index) => `key-${String(index).padStart(7, "0")}`);

let sent = 0;
let acknowledged = 0;
const publisher = await driver.connectPublisher(setup.settings, {
  acknowledged: (count) => {
    acknowledged += count;
    words.acknowledged = acknowledged;
  },
  failed: (error) => {
    throw error;
  },
});

parentPort?.on("message", (message: "start" | "stop") => {
  if (message === "start") void publish();
  else void stop();
});
parentPort?.postMessage("connected");

async function publish(): Promise<void> {
  const { windowRecords } = setup;
  let isFull = false;
  while (words.running) {
    const free = windowRecords - ((sent - words.done) | 0);
    if (free <= 0) isFull = true;
    else if (free >= windowRecords * RESUME_FREE_PART) isFull = false;
    if (isFull) {
      await delay(POLL_MS);
      continue;
    }
    const room = Math.min(BURST_RECORDS, free);
    const taken = burst(room);
    if (taken > 0) publisher.push();
    if (taken < room) await publisher.room();
    else await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Returns how many of so many records were taken. */
function burst(records: number): number {
  let taken = 0;
  while (taken < records && publisher.publish(value, keyOf(sent))) {
    taken++;
    sent++;
  }
  words.sent = sent;
  return taken;
}

/** Scattered, and the same in every run. */
function keyOf(index: number): string | undefined {
  if (keys.length === 0) return undefined;
  const mixed = Math.imul(index + 1, 2_654_435_761) >>> 0;
  return keys[(Math.imul(mixed ^ (mixed >>> 15), 2_246_822_519) >>> 0) % keys.length];
}

async function stop(): Promise<void> {
  await publisher.flush();
  parentPort?.postMessage("flushed");
}
