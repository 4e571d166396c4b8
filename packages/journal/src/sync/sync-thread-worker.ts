import { workerData } from "node:worker_threads";
import { Doorbell } from "@millrace/core";
import { RealStorage } from "../storage/real-storage.ts";
import { isOutOfFiles } from "../storage/storage.ts";
import {
  CLOSING_WORD,
  COMMITTED_WORD,
  ENDED_WORD,
  FAILURE_DIED,
  FAILURE_FENCED,
  FAILURE_UNKNOWN,
  FAILURE_WORD,
  REQUEST_HEAD_WORD,
  REQUEST_TAIL_WORD,
  SIGNAL_WORD,
  SLOT_FD,
  SLOT_FLAGS,
  SLOT_POSITION,
  SLOT_SYNC_DIRECTORY,
  type SyncThreadData,
  slotWord,
} from "./sync-thread-layout.ts";
import { FENCED, mergeRequest, type SyncRequest, syncRequests } from "./syncer.ts";

const OUT_OF_FILES_WAIT_MS = 20;
/** The owner closes while there is nothing to report. */
const GAVE_UP = -1;

const data = workerData as SyncThreadData;
const words = new Int32Array(data.shared);
const storage = new RealStorage();
const doorbell = data.doorbell === undefined ? undefined : Doorbell.attach(data.doorbell);

/** Takes all requests that stand in slots. Positions are in units here, as int32. */
function takeRequests(): SyncRequest[] {
  const requests: SyncRequest[] = [];
  const tail = Atomics.load(words, REQUEST_TAIL_WORD);
  let head = words[REQUEST_HEAD_WORD] as number;
  while (head !== tail) {
    const slot = slotWord(head);
    mergeRequest(requests, {
      fd: words[slot + SLOT_FD] as number,
      position: words[slot + SLOT_POSITION] as number,
      syncDirectory: ((words[slot + SLOT_FLAGS] as number) & SLOT_SYNC_DIRECTORY) !== 0,
    });
    head = (head + 1) | 0;
  }
  Atomics.store(words, REQUEST_HEAD_WORD, head);
  return requests;
}

/** @returns false when nothing more may be synced. */
function serve(requests: SyncRequest[]): boolean {
  const last = requests[requests.length - 1] as SyncRequest;
  const failure = syncWhileOpen(requests);
  if (failure === GAVE_UP) return false;
  if (failure === 0) Atomics.store(words, COMMITTED_WORD, last.position);
  else Atomics.store(words, FAILURE_WORD, failure);
  doorbell?.ring();
  return failure === 0;
}

/** @returns 0, what goes into the failure word, or GAVE_UP. */
function syncWhileOpen(requests: SyncRequest[]): number {
  for (;;) {
    try {
      return syncRequests(storage, data.directory, data.epoch, requests) === FENCED ? FAILURE_FENCED : 0;
    } catch (error) {
      // The folder could not be opened, so no sync has failed: those that succeeded may be repeated.
      if (!isOutOfFiles(error)) return errnoOf(error);
      if (Atomics.load(words, CLOSING_WORD) === 1) return GAVE_UP;
      Atomics.wait(words, CLOSING_WORD, 0, OUT_OF_FILES_WAIT_MS);
    }
  }
}

function errnoOf(error: unknown): number {
  const errno = error instanceof Error && "errno" in error ? error.errno : undefined;
  return typeof errno === "number" && errno < 0 ? -errno : FAILURE_UNKNOWN;
}

function run(): void {
  for (;;) {
    const signal = Atomics.load(words, SIGNAL_WORD);
    if (Atomics.load(words, CLOSING_WORD) === 1) return;
    const requests = takeRequests();
    if (requests.length === 0) Atomics.wait(words, SIGNAL_WORD, signal);
    else if (!serve(requests)) return;
  }
}

try {
  run();
} catch {
  Atomics.compareExchange(words, FAILURE_WORD, 0, FAILURE_DIED);
  doorbell?.ring();
} finally {
  Atomics.store(words, ENDED_WORD, 1);
  Atomics.notify(words, ENDED_WORD);
}
