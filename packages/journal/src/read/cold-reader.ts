import { MillraceError } from "@millrace/protocol";
import { JOURNAL_LIMITS } from "../limits.ts";
import type { JournalLocation } from "../lookup/journal-index.ts";
import { segmentFileName } from "../segment/segment-layout.ts";
import { errorCodeOf, type Storage } from "../storage/storage.ts";
import { AheadStretches } from "./ahead-stretches.ts";
import { EntryDelivery, TimeSearch } from "./entry-visitors.ts";
import {
  type EntryVisitor,
  EntryWalk,
  WALK_DAMAGED,
  WALK_LIMITED,
  WALK_UNWRITTEN,
  WALKED,
} from "./entry-walk.ts";
import { FileIndexCache } from "./file-index-cache.ts";
import type { Begin } from "./file-stretches.ts";
import { journalPlace } from "./journal-places.ts";
import { LookAhead } from "./look-ahead.ts";
import { OpenFileCache } from "./open-file-cache.ts";
import {
  READ_DAMAGED,
  READ_FAILED,
  READ_MOVED,
  READ_NEEDS_ROOM,
  READ_UNFINISHED,
  TIME_NOT_FOUND,
} from "./read-outcomes.ts";
import { ReadPositions } from "./read-positions.ts";
import { SettledCatalog, type SettledFileTable } from "./settled-catalog.ts";
import {
  type ReadMeans,
  SETTLED_DONE,
  SETTLED_LIMITED,
  SETTLED_PASSED,
  SettledReader,
} from "./settled-reader.ts";
import { shardDirectoryName } from "./shard-directory.ts";
import type { SharedDisk } from "./shared-disk.ts";

/** Which manifest of a shard to look in. Plain data. */
export interface SettledPart {
  /** Of the owner, which wrote the manifest. */
  readonly epoch: number;
  /** Of the manifest; a later one will do. */
  readonly generation: number;
  /** The partition's first offset that is not settled. */
  readonly endOffset: number;
}

/** What to read, as the shard found it in its index. Plain data. */
export interface ColdReadRequest {
  readonly shardId: number;
  readonly topicId: number;
  readonly partition: number;
  /** First offset wanted; an entry that holds it is delivered whole. */
  readonly offset: number;
  /** Entries that reach beyond this offset are not shown (the high watermark). */
  readonly limitOffset: number;
  /** Entries that reach beyond this position are not shown (what is committed, or written). */
  readonly endPosition: number;
  /** Defined: what is wanted may be in settled files, which come first. */
  readonly settled?: SettledPart | undefined;
  /** Of `offset`, or of what follows the settled files, from the shard's index. Undefined: the journal has nothing. */
  readonly location: JournalLocation | undefined;
}

/** So often a read looks again when files go away under it. */
const ATTEMPTS = 4;
const NOTHING = 0;

/**
 * Reads what is no longer in a tail cache, for one partition at a time, and checks every byte that it hands out: from
 * settled files, which it finds by itself, then from the journal, where the shard says. One thread, not that of a shard.
 */
export class ColdReader {
  /** Entries that the last read delivered. */
  entryCount = 0;
  /** Base offset of the first entry that the last read found, also if it did not fit; -1 when it found none. */
  firstOffset = -1;
  /** The entry at firstOffset was erased by a repair: one past its last record. Else -1. */
  erasedEnd = -1;
  /** Where the next read goes on. */
  nextOffset = 0;
  /** False: limitOffset was reached. True: there may be more below it, so locate `nextOffset` and read again. */
  more = false;
  /** After READ_NEEDS_ROOM. */
  neededBytes = 0;
  /**
   * Nothing was found at the offset itself, and files have changed since the shard asked: what was there may have been
   * dropped meanwhile. The shard knows.
   */
  mayBeDropped = false;
  /** After READ_DAMAGED and READ_FAILED. */
  error: MillraceError | undefined;

  private readonly shardsDirectory: string;
  private readonly catalog: SettledCatalog;
  private readonly means: ReadMeans;
  private readonly settled: SettledReader;
  private readonly delivery: EntryDelivery = new EntryDelivery();
  private readonly times: TimeSearch = new TimeSearch();
  /** The file that is looked at, for errors. */
  private path = "";

  /** @param disk without it everything is read through the page cache. */
  constructor(storage: Storage, shardsDirectory: string, disk?: SharedDisk) {
    this.shardsDirectory = shardsDirectory;
    this.catalog = new SettledCatalog(storage, shardsDirectory);
    const files = new OpenFileCache(storage);
    const indexes = new FileIndexCache(storage);
    const ahead = disk?.slots && new AheadStretches(disk.slots);
    this.means = {
      storage,
      files,
      indexes,
      walk: new EntryWalk(storage, disk, ahead),
      lookAhead: disk && ahead && new LookAhead(files, indexes, disk, ahead),
      positions: new ReadPositions(),
    };
    this.settled = new SettledReader(this.means);
  }

  /**
   * Puts consecutive entries into `target` as the entries of a DELIVER frame: head, then stored payload. Sets entryCount,
   * nextOffset and more. Entries in front of damage are delivered; the read that begins at it says so.
   *
   * @returns the bytes put there, at most maxBytes; 0 when the limits allow no entry; READ_DAMAGED, READ_NEEDS_ROOM,
   * READ_FAILED, READ_UNFINISHED, READ_MOVED.
   */
  read(request: ColdReadRequest, target: Buffer, targetStart: number, maxBytes: number): number {
    const { delivery } = this;
    this.begin();
    delivery.begin(target, targetStart, maxBytes, request.offset);
    const outcome = this.guard(request, () => this.deliver(request));
    const { entryCount, firstOffset, nextOffset, neededBytes, targetAt } = delivery;
    delivery.end();
    this.entryCount = entryCount;
    this.firstOffset = firstOffset;
    this.erasedEnd = delivery.erasedEnd;
    this.nextOffset = nextOffset;
    this.mayBeDropped = this.changed && (firstOffset < 0 || firstOffset > request.offset);
    if (entryCount === 0) {
      if (outcome < 0) return outcome;
      this.neededBytes = neededBytes;
      if (neededBytes > 0) return READ_NEEDS_ROOM;
    }
    if (nextOffset >= request.limitOffset) this.more = false;
    return targetAt - targetStart;
  }

  /**
   * Finds the first entry at or behind the request's offset that was appended at `timeMs` or later; the request's location
   * comes from `locateTime`.
   * @returns its offset; TIME_NOT_FOUND (with nextOffset, which is limitOffset when a limit was met), READ_DAMAGED,
   * READ_FAILED, READ_UNFINISHED.
   */
  findTime(request: ColdReadRequest, timeMs: number): number {
    const { times } = this;
    this.begin();
    times.begin(timeMs, request.offset);
    const outcome = this.guard(request, () => this.searchTime(request, timeMs));
    this.nextOffset = times.nextOffset;
    if (outcome < 0) return outcome;
    return times.foundOffset < 0 ? TIME_NOT_FOUND : times.foundOffset;
  }

  /** Closes files that were not used since the last call, which a file that was removed needs to free its room. */
  closeIdle(): void {
    this.means.files.sweep();
  }

  /** Files that are open. */
  get openFiles(): number {
    return this.means.files.count;
  }

  /** Closes all files. */
  close(): void {
    this.means.files.close();
  }

  private begin(): void {
    this.entryCount = 0;
    this.firstOffset = -1;
    this.erasedEnd = -1;
    this.more = true;
    this.neededBytes = 0;
    this.mayBeDropped = false;
    this.changed = false;
    this.error = undefined;
  }

  /** @returns NOTHING when the delivery has what it gets, or why not */
  private deliver(request: ColdReadRequest): number {
    const { delivery } = this;
    const atOffset: Begin = { by: "offset", value: request.offset };
    return this.lookAgain(request, (table, isLost) => {
      if (table !== undefined) {
        this.changed = hasChanged(table, request.settled);
        const outcome = this.settled.deliver(request, table, delivery);
        if (outcome === SETTLED_LIMITED) this.more = false;
        if (outcome !== SETTLED_PASSED) return this.settledOutcome(outcome);
      }
      if (isLost) return READ_MOVED;
      return this.visitJournal(request, atOffset, delivery, delivery.roomBytes);
    });
  }

  private searchTime(request: ColdReadRequest, timeMs: number): number {
    const { times } = this;
    return this.lookAgain(request, (table, isLost) => {
      if (table !== undefined) {
        const outcome = this.settled.findTime(request, table, timeMs, times);
        if (outcome === SETTLED_LIMITED) times.nextOffset = request.limitOffset;
        if (outcome !== SETTLED_PASSED) return this.settledOutcome(outcome);
        times.nextOffset = Math.max(times.nextOffset, this.settled.endOffset);
      }
      // The stretch was the last to begin before the time, so the first entry behind what was settled is late enough.
      if (isLost) return NOTHING;
      if (request.location === undefined) {
        times.nextOffset = request.limitOffset;
        return NOTHING;
      }
      const begin: Begin = { by: "time", value: timeMs };
      const outcome = this.visitJournal(request, begin, times, JOURNAL_LIMITS.pointBytesMax);
      if (this.limited && times.foundOffset < 0) times.nextOffset = request.limitOffset;
      return outcome;
    });
  }

  /**
   * Calls `attempt` with the files that are settled, if what is wanted may be among them, and again when a file has gone away
   * because the journal was settled further or settled files were replaced. `isLost`: it was the segment.
   */
  private lookAgain(
    request: ColdReadRequest,
    attempt: (table: SettledFileTable | undefined, isLost: boolean) => number,
  ): number {
    const { shardId, settled, location } = request;
    this.path = `${this.shardsDirectory}/${shardDirectoryName(shardId)}`;
    let table =
      settled === undefined ? undefined : this.catalog.at(shardId, settled.epoch, settled.generation);
    let isLost = false;
    for (let left = ATTEMPTS; ; left--) {
      this.inJournal = false;
      try {
        return attempt(table, isLost);
      } catch (error) {
        if (errorCodeOf(error) !== "ENOENT" || left === 0) throw error;
        const newest = this.catalog.newest(shardId);
        if (newest === undefined) throw error;
        if (this.inJournal) {
          // A segment goes when its entries are settled, and not before the shard knows.
          if (location === undefined || location.segmentBase >= newest.settledPosition) throw error;
          isLost = true;
        } else if (newest === table || !isNewer(newest, table)) throw error;
        table = newest;
      }
    }
  }

  private inJournal = false;
  /** Settled files were looked at that the shard did not know of when it asked. */
  private changed = false;
  private limited = false;

  /** @returns NOTHING or READ_DAMAGED. @throws what the storage throws */
  private visitJournal(
    request: ColdReadRequest,
    from: Begin,
    visitor: EntryVisitor,
    wantedBytes: number,
  ): number {
    const { shardId, topicId, partition, offset, endPosition, location } = request;
    this.limited = false;
    if (location === undefined) return NOTHING;
    // What is only staged may not even have a file.
    if (location.position >= endPosition) {
      this.limited = true;
      return NOTHING;
    }
    const directory = `${this.shardsDirectory}/${shardDirectoryName(shardId)}`;
    this.path = `${directory}/${segmentFileName(location.segmentBase, location.segmentEpoch)}`;
    this.inJournal = true;
    const { storage, files, indexes, walk, positions } = this.means;
    let begin = from;
    if (from.by === "offset") {
      const known = positions.take(shardId, topicId, partition, offset);
      if (known?.path === this.path) begin = { by: "place", value: known.at };
    }
    const place = journalPlace(
      storage,
      files,
      indexes,
      directory,
      location,
      request,
      endPosition,
      begin,
      wantedBytes,
    );
    const outcome = walk.run(place, request, visitor);
    if (outcome === WALK_DAMAGED) return this.damaged(this.path, location.segmentBase + walk.endedAt);
    if (outcome === WALK_LIMITED) this.more = false;
    this.limited = outcome === WALK_LIMITED || outcome === WALK_UNWRITTEN;
    if (from.by === "offset") {
      const { path } = this;
      const exhausted = outcome === WALKED;
      const position = { path, at: walk.endedAt, settled: undefined, exhausted };
      positions.put(shardId, topicId, partition, this.delivery.nextOffset, position);
    }
    return NOTHING;
  }

  private settledOutcome(outcome: number): number {
    if (outcome === READ_DAMAGED) return this.damaged(this.settled.path, this.settled.damagedAt);
    if (outcome === READ_UNFINISHED) return READ_UNFINISHED;
    return outcome === SETTLED_DONE || outcome === SETTLED_LIMITED ? NOTHING : outcome;
  }

  private guard(request: ColdReadRequest, run: () => number): number {
    try {
      return run();
    } catch (error) {
      if (error instanceof MillraceError) {
        this.error = error;
        return READ_FAILED;
      }
      const code = errorCodeOf(error);
      if (code === undefined) throw error;
      const file = this.inJournal || request.settled === undefined ? this.path : this.settled.path;
      this.means.files.forget(file);
      this.error = new MillraceError("READ_FAILED", `read failed with ${code}: ${file}`, {
        details: { errno: code, file },
        cause: error,
      });
      return READ_FAILED;
    }
  }

  private damaged(file: string, position: number): number {
    this.means.files.forget(file);
    this.error = new MillraceError("JOURNAL_DAMAGED", `bad entry: ${file} position ${position}`, {
      details: { file, position },
    });
    return READ_DAMAGED;
  }
}

function isNewer(table: SettledFileTable, than: SettledFileTable | undefined): boolean {
  if (than === undefined) return true;
  return table.epoch > than.epoch || (table.epoch === than.epoch && table.generation > than.generation);
}

function hasChanged(table: SettledFileTable, asked: SettledPart | undefined): boolean {
  return asked === undefined || table.epoch !== asked.epoch || table.generation !== asked.generation;
}
