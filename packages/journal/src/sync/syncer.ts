import { MillraceError } from "@millrace/protocol";
import { fenced, holdsFence } from "../ownership/fence.ts";
import { errorCodeOf, type Storage } from "../storage/storage.ts";

/** What a syncer is made for: one shard's folder in one epoch. */
export interface SyncerContext {
  readonly directory: string;
  readonly epoch: number;
  /** Everything before it is durable already. */
  readonly committedPosition: number;
}

/** Makes what was written durable, away from the shard's duty cycle. */
export interface Syncer {
  /**
   * Asks that everything before `position` becomes durable: it was written to `fd`, or to files submitted before.
   * Never blocks; requests for one file are merged.
   * @param syncDirectory the file's name is new: its folder must be synced before the position counts.
   */
  submit(fd: number, position: number, syncDirectory: boolean): void;
  /** Everything before it is durable and belongs to the owner of the shard. Never decreases. */
  committedPosition(): number;
  /** Set once and for good when a sync failed, or when the shard has another owner. */
  failure(): MillraceError | undefined;
  close(): void;
}

/** Makes the syncer of a journal that has just been recovered. */
export type SyncerFactory = (context: SyncerContext) => Syncer;

/** One file to sync and the position that is durable then. */
export interface SyncRequest {
  readonly fd: number;
  readonly position: number;
  readonly syncDirectory: boolean;
}

/** Outcome of syncRequests. */
export const SYNCED = 0;
/** The shard has another owner: stop silently. */
export const FENCED = -1;

/**
 * Serves requests in their order: folder first where a name is new, then the file, and last a look at the fence, so that
 * nothing is reported to the clients of a shard that somebody else owns by now.
 *
 * @returns SYNCED or FENCED.
 * @throws what the storage throws; the sync must not be tried again then, since the kernel has forgotten what it could
 * not write.
 */
export function syncRequests(
  storage: Storage,
  directory: string,
  epoch: number,
  requests: readonly SyncRequest[],
): number {
  for (let i = 0; i < requests.length; i++) {
    const request = requests[i] as SyncRequest;
    if (request.syncDirectory) storage.syncDirectory(directory);
    storage.sync(request.fd);
  }
  return holdsFence(storage, directory, epoch) ? SYNCED : FENCED;
}

/** The failure of a journal whose sync failed. */
export function syncFailed(directory: string, errno: string, cause?: unknown): MillraceError {
  return new MillraceError("JOURNAL_FAILED", `sync failed with ${errno} in ${directory}`, {
    details: { reason: "sync", errno, directory },
    cause,
  });
}

/** The failure of a journal whose write failed, other than for want of room. */
export function writeFailed(directory: string, cause: unknown): MillraceError {
  const errno = errorCodeOf(cause) ?? "an error";
  return new MillraceError("JOURNAL_FAILED", `write failed with ${errno} in ${directory}`, {
    details: { reason: "write", errno, directory },
    cause,
  });
}

/**
 * Adds a request behind others, merged with the last one when that is for the same file.
 */
export function mergeRequest(requests: SyncRequest[], request: SyncRequest): void {
  const last = requests[requests.length - 1];
  if (last !== undefined && last.fd === request.fd) {
    requests[requests.length - 1] = {
      fd: request.fd,
      position: request.position,
      syncDirectory: last.syncDirectory || request.syncDirectory,
    };
  } else {
    requests.push(request);
  }
}

/**
 * Syncs on the calling thread: at once, or one batch of requests a `step` when `stepped`. For tests and simulations.
 */
export class InlineSyncer implements Syncer {
  readonly #storage: Storage;
  readonly #context: SyncerContext;
  readonly #stepped: boolean;
  #requests: SyncRequest[] = [];
  #committedPosition: number;
  #failure: MillraceError | undefined;

  constructor(storage: Storage, context: SyncerContext, options?: { readonly stepped?: boolean }) {
    this.#storage = storage;
    this.#context = context;
    this.#stepped = options?.stepped ?? false;
    this.#committedPosition = context.committedPosition;
  }

  submit(fd: number, position: number, syncDirectory: boolean): void {
    if (this.#failure !== undefined) return;
    mergeRequest(this.#requests, { fd, position, syncDirectory });
    if (!this.#stepped) this.step();
  }

  /** Serves what was submitted. @returns false when there was nothing to do. */
  step(): boolean {
    const requests = this.#requests;
    const last = requests[requests.length - 1];
    if (last === undefined || this.#failure !== undefined) return false;
    this.#requests = [];
    const { directory, epoch } = this.#context;
    try {
      const outcome = syncRequests(this.#storage, directory, epoch, requests);
      if (outcome === FENCED) this.#failure = fenced(directory, epoch);
      else this.#committedPosition = last.position;
    } catch (error) {
      this.#failure = syncFailed(directory, errorCodeOf(error) ?? "unknown error", error);
    }
    return true;
  }

  committedPosition(): number {
    return this.#committedPosition;
  }

  failure(): MillraceError | undefined {
    return this.#failure;
  }

  close(): void {
    this.#requests = [];
  }
}
