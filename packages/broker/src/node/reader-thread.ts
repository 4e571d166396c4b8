import { Worker } from "node:worker_threads";
import { Doorbell, OneToOneRingBuffer } from "@millrace/core";
import { BROKER_LIMITS } from "../limits.ts";
import { LINK_STATE } from "../link/link-buffers.ts";
import type { ReaderLinkBuffers } from "../link/reader-link-buffers.ts";
import { allocateAhead } from "../reader/ahead-slots.ts";
import { LiveWrites } from "../reader/live-writes.ts";
import { threadFile } from "../thread/thread-file.ts";
import {
  CONTROL_PENDING,
  CONTROL_WORDS,
  type LogMessage,
  type ReadAheadThreadData,
  type ReaderThreadData,
  type ToReaderThread,
} from "../thread/thread-messages.ts";
import { NO_SHARD, OutboundReader, type ReplyHandler } from "./outbound-reader.ts";

export interface ReaderThreadOptions {
  readonly shardsDirectory: string;
  /** Number of shard threads; each gets its link by attach(). */
  readonly threads: number;
  readonly gatewayDoorbell: SharedArrayBuffer;
  readonly replies: ReplyHandler;
  readonly onPoke: () => void;
  readonly onLog: (message: LogMessage) => void;
  readonly onDied: (error: Error) => void;
}

/** What both threads read goes into shared memory. */
const YOUNG_GENERATION_MIB = 3;

/** The node's reader thread, which reads what has left the tail caches. Main thread. */
export class ReaderThread {
  readonly doorbellBuffer: SharedArrayBuffer = Doorbell.allocate();
  /** Where shard threads say that they write. */
  readonly liveWritesBuffer: SharedArrayBuffer = LiveWrites.allocate();
  readonly #options: ReaderThreadOptions;
  readonly #doorbell: Doorbell;
  readonly #control: SharedArrayBuffer = new SharedArrayBuffer(CONTROL_WORDS * 4);
  #outbound: OutboundReader;
  #worker: Worker;
  #readAhead: Worker;
  #ending = false;

  constructor(options: ReaderThreadOptions) {
    this.#options = options;
    this.#doorbell = Doorbell.attach(this.doorbellBuffer);
    [this.#worker, this.#outbound, this.#readAhead] = this.#start();
  }

  get outbound(): OutboundReader {
    return this.#outbound;
  }

  /** The shard thread was started: its requests come through this link from now on. `doorbell` is that thread's. */
  attach(thread: number, link: ReaderLinkBuffers, doorbell: SharedArrayBuffer): void {
    this.#send({ kind: "attach", thread, link, doorbell });
  }

  /** After it died: a new thread with a fresh outbound ring, to which the shard threads must be attached again. */
  restart(): void {
    void this.#readAhead.terminate();
    [this.#worker, this.#outbound, this.#readAhead] = this.#start();
  }

  async terminate(): Promise<void> {
    this.#ending = true;
    await Promise.all([this.#worker.terminate(), this.#readAhead.terminate()]);
  }

  #start(): [Worker, OutboundReader, Worker] {
    const outbound = OneToOneRingBuffer.allocate(BROKER_LIMITS.outboundRingBytes);
    const state = new SharedArrayBuffer(LINK_STATE.WORDS * 4);
    const words = new Int32Array(state);
    const ahead: ReadAheadThreadData = { buffers: allocateAhead(), doorbell: Doorbell.allocate() };
    const workerData: ReaderThreadData = {
      shardsDirectory: this.#options.shardsDirectory,
      threads: this.#options.threads,
      outbound,
      state,
      doorbell: this.doorbellBuffer,
      control: this.#control,
      gatewayDoorbell: this.#options.gatewayDoorbell,
      liveWrites: this.liveWritesBuffer,
      ahead,
    };
    const worker = new Worker(threadFile(new URL("../thread/reader-thread-worker.js", import.meta.url)), {
      workerData,
      // None of the process's own: a loader or agent given to it by --import would run in each thread.
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MIB },
      name: "millrace-reader",
    });
    let failure: Error | undefined;
    worker.on("message", (message: LogMessage | null) => {
      if (message === null) this.#options.onPoke();
      else this.#options.onLog(message);
    });
    worker.on("error", (error) => {
      failure = error instanceof Error ? error : new Error(String(error));
    });
    worker.on("exit", (code) => {
      if (!this.#ending) this.#options.onDied(failure ?? new Error(`reader thread ended with code ${code}`));
    });
    const onReleased = (): void => {
      if (Atomics.exchange(words, LINK_STATE.SHARD_WAITS, 0) === 1) this.#doorbell.ring();
    };
    const reader = new OutboundReader(outbound, this.#options.replies, onReleased, NO_SHARD);
    return [worker, reader, this.#startReadAhead(ahead)];
  }

  /** The reader thread waits for what it has begun: without it that would have to be started anew, too. */
  #startReadAhead(workerData: ReadAheadThreadData): Worker {
    const worker = new Worker(threadFile(new URL("../thread/read-ahead-worker.js", import.meta.url)), {
      workerData,
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MIB },
      name: "millrace-read-ahead",
    });
    let failure: Error | undefined;
    worker.on("error", (error) => {
      failure = error instanceof Error ? error : new Error(String(error));
    });
    worker.on("exit", (code) => {
      if (this.#ending || worker !== this.#readAhead) return;
      this.#options.onDied(failure ?? new Error(`read-ahead thread ended with code ${code}`));
    });
    return worker;
  }

  #send(message: ToReaderThread): void {
    this.#worker.postMessage(message);
    Atomics.store(new Int32Array(this.#control), CONTROL_PENDING, 1);
    this.#doorbell.ring();
  }
}
