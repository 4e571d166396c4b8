import { getSystemErrorName } from "node:util";
import { Worker } from "node:worker_threads";
import type { MillraceError } from "@millrace/protocol";
import { JOURNAL_LIMITS } from "../limits.ts";
import { fenced } from "../ownership/fence.ts";
import {
  CLOSING_WORD,
  COMMITTED_WORD,
  ENDED_WORD,
  FAILURE_DIED,
  FAILURE_FENCED,
  FAILURE_UNKNOWN,
  FAILURE_WORD,
  POSITION_UNIT,
  REQUEST_HEAD_WORD,
  REQUEST_TAIL_WORD,
  SIGNAL_WORD,
  SLOT_FD,
  SLOT_FLAGS,
  SLOT_POSITION,
  SLOT_SYNC_DIRECTORY,
  SYNC_THREAD_BYTES,
  type SyncThreadData,
  slotWord,
} from "./sync-thread-layout.ts";
import { mergeRequest, type Syncer, type SyncerContext, type SyncRequest, syncFailed } from "./syncer.ts";

/** How long `close` waits for a sync that is under way; a disk may hang for ever. */
const CLOSE_TIMEOUT_MS = 10_000;

/** It allocates next to nothing, and there is one a shard: memory that V8 would take to rest its collector is wasted. */
const YOUNG_GENERATION_MIB = 1;

/**
 * Syncs on a thread of its own, which sleeps in Atomics.wait between requests: a synchronous fdatasync there is faster and
 * steadier than one in libuv's pool, and while it runs the shard goes on. One a shard. The owner's thread calls all
 * methods; what is submitted while a sync runs is served by the next one.
 */
export class SyncThread implements Syncer {
  private readonly context: SyncerContext;
  private readonly words: Int32Array;
  private readonly worker: Worker;
  /** Requests that found no slot; merged, so there is one a file. */
  private readonly waiting: SyncRequest[] = [];
  private tail = 0;
  private committed: number;
  private failed: MillraceError | undefined;
  private closed = false;
  private asked = false;

  /** @param doorbell the memory of a Doorbell that is rung when a position is committed or a sync failed. */
  constructor(context: SyncerContext, doorbell?: SharedArrayBuffer) {
    this.context = context;
    this.committed = context.committedPosition;
    const shared = new SharedArrayBuffer(SYNC_THREAD_BYTES);
    this.words = new Int32Array(shared);
    this.words[COMMITTED_WORD] = this.committed / POSITION_UNIT;
    const data: SyncThreadData = {
      shared,
      doorbell,
      directory: context.directory,
      epoch: context.epoch,
    };
    this.worker = new Worker(new URL("./sync-thread-worker.js", import.meta.url), {
      workerData: data,
      // None of the process's own: a loader or agent given to it by --import would run in each thread.
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MIB },
      name: "millrace-sync",
      stdout: false,
      stderr: false,
    });
    // A thread that cannot start or dies says so here, if its owner returns to the event loop, and else by its words.
    this.worker.on("error", () => this.reportDeath());
    this.worker.unref();
  }

  submit(fd: number, position: number, syncDirectory: boolean): void {
    if (this.closed) throw new Error("sync thread is closed");
    if (position % POSITION_UNIT !== 0) {
      throw new RangeError(`position must be a multiple of ${POSITION_UNIT}: position=${position}`);
    }
    mergeRequest(this.waiting, { fd, position, syncDirectory });
    this.pushWaiting();
  }

  committedPosition(): number {
    const units = Atomics.load(this.words, COMMITTED_WORD);
    const known = this.committed / POSITION_UNIT;
    this.committed += ((units - (known | 0)) >>> 0) * POSITION_UNIT;
    if (this.waiting.length > 0) this.pushWaiting();
    return this.committed;
  }

  failure(): MillraceError | undefined {
    if (this.failed !== undefined) return this.failed;
    const number = Atomics.load(this.words, FAILURE_WORD);
    if (number === 0) return undefined;
    const { directory, epoch } = this.context;
    this.failed =
      number === FAILURE_FENCED ? fenced(directory, epoch) : syncFailed(directory, failureName(number));
    return this.failed;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.waiting.length = 0;
    Atomics.store(this.words, CLOSING_WORD, 1);
    this.signal();
    // One that was never asked has no files, and may still be starting: whoever hosts other shards does not wait for that.
    if (!this.asked) return;
    // The files may be closed when this returns, and their numbers given to others.
    Atomics.wait(this.words, ENDED_WORD, 0, CLOSE_TIMEOUT_MS);
  }

  private pushWaiting(): void {
    const words = this.words;
    const waiting = this.waiting;
    let pushed = 0;
    while (pushed < waiting.length) {
      const used = (this.tail - Atomics.load(words, REQUEST_HEAD_WORD)) | 0;
      if (used >= JOURNAL_LIMITS.syncRequestsMax) break;
      const request = waiting[pushed] as SyncRequest;
      const slot = slotWord(this.tail);
      words[slot + SLOT_FD] = request.fd;
      words[slot + SLOT_POSITION] = (request.position / POSITION_UNIT) | 0;
      words[slot + SLOT_FLAGS] = request.syncDirectory ? SLOT_SYNC_DIRECTORY : 0;
      this.tail = (this.tail + 1) | 0;
      Atomics.store(words, REQUEST_TAIL_WORD, this.tail);
      pushed++;
    }
    if (pushed === 0) return;
    this.asked = true;
    waiting.splice(0, pushed);
    this.signal();
  }

  private signal(): void {
    Atomics.add(this.words, SIGNAL_WORD, 1);
    Atomics.notify(this.words, SIGNAL_WORD);
  }

  private reportDeath(): void {
    Atomics.compareExchange(this.words, FAILURE_WORD, 0, FAILURE_DIED);
    Atomics.store(this.words, ENDED_WORD, 1);
  }
}

function failureName(number: number): string {
  if (number === FAILURE_UNKNOWN) return "an unknown error";
  if (number === FAILURE_DIED) return "the end of its thread";
  return getSystemErrorName(-number);
}
