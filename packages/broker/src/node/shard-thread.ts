import { Worker } from "node:worker_threads";
import { Doorbell } from "@millrace/core";
import { allocateReaderLink, type ReaderLinkBuffers } from "../link/reader-link-buffers.ts";
import { threadFile } from "../thread/thread-file.ts";
import {
  CONTROL_PENDING,
  CONTROL_WORDS,
  type FromShardThread,
  type ShardStorageSizes,
  type ShardThreadData,
  type ToShardThread,
} from "../thread/thread-messages.ts";

/**
 * Usually it is 48 MiB, which a busy shard fills with what is garbage at once, in about a second: it is as well collected in
 * smaller pieces.
 */
const YOUNG_GENERATION_MIB = 12;

export interface ShardThreadOptions {
  /** Of the node's threads. */
  readonly index: number;
  /** Of the data folder. */
  readonly shardCount: number;
  readonly gatewayDoorbell: SharedArrayBuffer;
  readonly readerDoorbell: SharedArrayBuffer;
  readonly liveWrites: SharedArrayBuffer;
  readonly storage: ShardStorageSizes;
  /** The thread published something into a ring while the main thread slept. */
  readonly onPoke: () => void;
  readonly onMessage: (message: FromShardThread) => void;
  /** The thread ended without being asked to. */
  readonly onDied: (error: Error) => void;
}

/** One shard thread as its node sees it: the worker and its doorbell. It begins without shards. Main thread. */
export class ShardThread {
  readonly doorbell: Doorbell;
  readonly doorbellBuffer: SharedArrayBuffer = Doorbell.allocate();
  readonly readerLink: ReaderLinkBuffers = allocateReaderLink();
  readonly #control: Int32Array;
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  #drained: (() => void) | undefined;
  #ending = false;

  constructor(options: ShardThreadOptions) {
    const control = new SharedArrayBuffer(CONTROL_WORDS * 4);
    this.doorbell = Doorbell.attach(this.doorbellBuffer);
    this.#control = new Int32Array(control);
    const workerData: ShardThreadData = {
      shardCount: options.shardCount,
      doorbell: this.doorbellBuffer,
      control,
      gatewayDoorbell: options.gatewayDoorbell,
      readerLink: this.readerLink,
      readerDoorbell: options.readerDoorbell,
      liveWrites: options.liveWrites,
      storage: options.storage,
    };
    const worker = new Worker(threadFile(new URL("../thread/shard-thread-worker.js", import.meta.url)), {
      workerData,
      // None of the process's own: a loader or agent given to it by --import would run in each thread.
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MIB },
      name: `millrace-shards-${options.index}`,
    });
    this.#worker = worker;
    let failure: Error | undefined;
    worker.on("message", (message: FromShardThread | null) => {
      if (message === null) options.onPoke();
      else if (message.kind === "drained") this.#drained?.();
      else options.onMessage(message);
    });
    worker.on("error", (error) => {
      failure = error instanceof Error ? error : new Error(String(error));
    });
    this.#exited = new Promise((resolve) => {
      worker.on("exit", (code) => {
        resolve();
        this.#drained?.();
        if (!this.#ending) options.onDied(failure ?? new Error(`shard thread ended with code ${code}`));
      });
    });
  }

  send(message: ToShardThread, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
    Atomics.store(this.#control, CONTROL_PENDING, 1);
    this.doorbell.ring();
  }

  /** Everything taken is committed and answered, clean checkpoints are taken; the thread has ended. */
  async drain(): Promise<void> {
    this.#ending = true;
    const drained = new Promise<void>((resolve) => {
      this.#drained = resolve;
    });
    this.send({ kind: "drain" });
    await drained;
    await this.#exited;
  }

  /** Ends the thread where it stands. */
  async terminate(): Promise<void> {
    this.#ending = true;
    await this.#worker.terminate();
  }

  /** For tests of supervision: the thread dies as if it had crashed. */
  async crash(): Promise<void> {
    await this.#worker.terminate();
  }
}
