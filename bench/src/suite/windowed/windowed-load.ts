/**
 * Generator `windowed-load`: publishes in a thread of its own and consumes, and publishes no further than a window ahead of what
 * has been consumed. So a saturated run shows what goes through from end to end. Without the window a broker that takes
 * records faster than it delivers them would build up a backlog, or drop records, and spend the machine on that.
 */
import { Worker } from "node:worker_threads";
import type { Consumer, Driver, DriverSettings } from "@millrace/load";
import { delay, monotonicMs, reportFailure, serveCommands } from "@millrace/load/internal";
import { WindowWords } from "./window-words.ts";

export interface WindowedLoadSpec {
  readonly driver: string;
  readonly settings: DriverSettings;
  readonly consumers: number;
  /** To how many consumers each record goes: all of them, or one where they compete. */
  readonly copies: number;
  /** Records that may be published and not have come to everybody. */
  readonly windowRecords: number;
  readonly keys: number;
}

export interface WindowedMark {
  readonly timeMs: number;
  readonly acknowledged: number;
  /** Received by all consumers together; of a queue, those whose ack is confirmed. */
  readonly delivered: number;
  readonly bytes: number;
}

export interface WindowedCommands {
  connect(spec: WindowedLoadSpec): Promise<{ client: string }>;
  start(args: null): void;
  mark(args: null): WindowedMark;
  /** Ends the load and waits for what is under way. Returns how many deliveries are missing in the end. */
  stop(args: { drainMs: number }): Promise<{ missing: number }>;
}

/** Connections that are made at a time. */
const CONNECTING_MAX = 50;
const POLL_MS = 5;

const words = new WindowWords();
const consumers: Consumer[] = [];
let worker: Worker | undefined;
let copies = 1;
let delivered = 0;
/** Of the values that were looked at. */
let bytes = 0;
/** Counts of 32 bits, made whole again. */
let acknowledgedInAll = 0;
let acknowledgedLast = 0;

function acknowledged(): number {
  const now = words.acknowledged;
  acknowledgedInAll += (now - acknowledgedLast) | 0;
  acknowledgedLast = now;
  return acknowledgedInAll;
}

function arrived(count: number): void {
  delivered += count;
  words.done = Math.floor(delivered / copies);
}

async function connect(spec: WindowedLoadSpec): Promise<{ client: string }> {
  const { driver } = (await import(spec.driver)) as { driver: Driver };
  const { settings } = spec;
  const settles = settings.mode === "queue" || settings.mode === "keyed";
  copies = spec.copies;
  await driver.prepare(settings);
  const events = {
    received: (count: number, valueAt: (index: number) => Uint8Array) => {
      // As an application does: a client that makes values only when they are asked for pays for it here.
      for (let index = 0; index < count; index++) bytes += valueAt(index).byteLength;
      if (!settles) arrived(count);
    },
    settled: (count: number) => {
      if (settles) arrived(count);
    },
    failed: reportFailure,
  };
  while (consumers.length < spec.consumers) {
    const count = Math.min(CONNECTING_MAX, spec.consumers - consumers.length);
    const connecting = Array.from({ length: count }, () => driver.connectConsumer(settings, events));
    consumers.push(...(await Promise.all(connecting)));
  }
  const { windowRecords, keys } = spec;
  worker = new Worker(new URL("./windowed-publisher-worker.js", import.meta.url), {
    workerData: { driver: spec.driver, settings, words: words.buffer, windowRecords, keys },
  });
  worker.on("error", reportFailure);
  await said("connected");
  return { client: driver.client };
}

async function stop({ drainMs }: { drainMs: number }): Promise<{ missing: number }> {
  const untilMs = monotonicMs() + drainMs;
  words.running = false;
  worker?.postMessage("stop");
  const timeout = new AbortController();
  await Promise.race([said("flushed"), delay(drainMs, timeout.signal)]);
  timeout.abort();
  const behind = (): number => ((words.sent - words.done) | 0) * copies;
  while (behind() > 0 && monotonicMs() < untilMs) await delay(POLL_MS);
  return { missing: Math.max(0, behind()) };
}

function said(what: "connected" | "flushed"): Promise<void> {
  return new Promise((resolve) => {
    const listen = (message: unknown): void => {
      if (message !== what) return;
      worker?.off("message", listen);
      resolve();
    };
    worker?.on("message", listen);
  });
}

serveCommands<WindowedCommands>({
  connect,
  start: () => {
    words.running = true;
    worker?.postMessage("start");
  },
  mark: () => ({ timeMs: monotonicMs(), acknowledged: acknowledged(), delivered, bytes }),
  stop,
});
