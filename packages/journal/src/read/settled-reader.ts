import { JOURNAL_LIMITS } from "../limits.ts";
import type { Storage } from "../storage/storage.ts";
import type { EntryDelivery, TimeSearch } from "./entry-visitors.ts";
import { type EntryFilter, type EntryWalk, WALK_DAMAGED, WALK_LIMITED, WALKED } from "./entry-walk.ts";
import type { FileIndexCache } from "./file-index-cache.ts";
import type { Begin } from "./file-stretches.ts";
import type { Ahead, LookAhead } from "./look-ahead.ts";
import type { OpenFileCache } from "./open-file-cache.ts";
import { READ_DAMAGED, READ_UNFINISHED } from "./read-outcomes.ts";
import type { ReadPositions } from "./read-positions.ts";
import type { SettledFileTable } from "./settled-catalog.ts";
import { type SettledPlace, settledPlace } from "./settled-places.ts";
import { NO_FILE, SEARCH_UNFINISHED, SettledSearch } from "./settled-search.ts";

/** What the parts of a cold reader share. */
export interface ReadMeans {
  readonly storage: Storage;
  readonly files: OpenFileCache;
  readonly indexes: FileIndexCache;
  readonly walk: EntryWalk;
  readonly positions: ReadPositions;
  /** Undefined: nobody reads ahead. */
  readonly lookAhead: LookAhead | undefined;
}

/** Which entries of which shard. */
export interface SettledRequest extends EntryFilter {
  readonly shardId: number;
}

/** `deliver`, `findTime`: the visitor has what it can get here. */
export const SETTLED_DONE = 0;
/** The settled files hold nothing more of what is wanted: the journal follows. */
export const SETTLED_PASSED = 1;
/** The request's limitOffset was met. */
export const SETTLED_LIMITED = 2;

const SEARCHES_MAX = JOURNAL_LIMITS.coldReaderPositionsMax;
/** A read that has less room than this left does not look into another file. */
const ROOM_BYTES_MIN = 16_384;
const TIME_BYTES = JOURNAL_LIMITS.pointBytesMax;

/** Reads the settled files of a shard, one file after the other. One thread. */
export class SettledReader {
  /** The file that was looked at last, for errors. */
  path = "";
  /** After READ_DAMAGED: where in the file. */
  damagedAt = 0;
  /** `findTime`, SETTLED_PASSED: one past the partition's last settled offset; 0 when nothing of it is settled. */
  endOffset = 0;
  private readonly means: ReadMeans;
  /** Searches that go on with the next request for the same. */
  private readonly searches: Map<string, SettledSearch> = new Map();

  constructor(means: ReadMeans) {
    this.means = means;
  }

  /**
   * Hands consecutive entries to `delivery`, which has begun at the request's offset.
   * @returns SETTLED_DONE, SETTLED_PASSED, SETTLED_LIMITED, READ_DAMAGED, READ_UNFINISHED.
   * @throws what the storage throws
   */
  deliver(request: SettledRequest, table: SettledFileTable, delivery: EntryDelivery): number {
    const { shardId, topicId, partition } = request;
    let from: number | undefined;
    let at = NO_FILE;
    let begin: Begin = { by: "offset", value: request.offset };
    const known = this.means.positions.take(shardId, topicId, partition, request.offset);
    const knownAt = known?.settled === undefined ? NO_FILE : table.find(known.settled);
    if (known !== undefined && knownAt !== NO_FILE) {
      if (known.exhausted) from = knownAt + 1;
      else {
        at = knownAt;
        begin = { by: "place", value: known.at };
      }
    }
    let ahead: Ahead | undefined = known?.ahead;
    let hasLooked = false;
    for (;;) {
      if (at === NO_FILE) {
        at = this.search(request, table, delivery.nextOffset, false, from);
        if (at < 0) return delivery.entryCount > 0 ? SETTLED_DONE : passed(at);
        begin = { by: "offset", value: delivery.nextOffset };
      }
      const place = this.place(request, table, at, begin, delivery.roomBytes);
      if (place !== undefined && !hasLooked) {
        hasLooked = true;
        const { points, stretches } = place;
        const stream = { table, at, points, from: stretches[0] ?? 0, topicId, partition };
        ahead = this.means.lookAhead?.look(stream, delivery.roomBytes, ahead);
      }
      const outcome = place === undefined ? WALK_DAMAGED : this.means.walk.run(place, request, delivery);
      if (place === undefined || outcome === WALK_DAMAGED) return this.damaged(this.means.walk.endedAt);
      const endedAt = this.means.walk.endedAt;
      const exhausted = outcome === WALKED && endedAt >= place.sectionEnd;
      this.means.positions.put(shardId, topicId, partition, delivery.nextOffset, {
        path: place.file.path,
        at: endedAt,
        settled: table.name(at),
        exhausted,
        ahead,
      });
      if (outcome !== WALKED) return outcome === WALK_LIMITED ? SETTLED_LIMITED : SETTLED_DONE;
      // The index says that the file reaches the offset.
      if (exhausted && delivery.firstOffset < 0) return this.damaged(endedAt);
      if (delivery.roomBytes < ROOM_BYTES_MIN) return SETTLED_DONE;
      this.means.positions.take(shardId, topicId, partition, delivery.nextOffset);
      if (exhausted) {
        from = at + 1;
        at = NO_FILE;
      } else {
        begin = { by: "place", value: endedAt };
      }
    }
  }

  /**
   * Looks for the first entry that is late enough.
   * @returns SETTLED_DONE (found), SETTLED_PASSED, SETTLED_LIMITED, READ_DAMAGED, READ_UNFINISHED.
   * @throws what the storage throws
   */
  findTime(request: SettledRequest, table: SettledFileTable, timeMs: number, times: TimeSearch): number {
    this.endOffset = 0;
    let at = this.search(request, table, timeMs, true, undefined);
    while (at >= 0) {
      let begin: Begin = { by: "time", value: timeMs };
      for (;;) {
        const place = this.place(request, table, at, begin, TIME_BYTES);
        const outcome = place === undefined ? WALK_DAMAGED : this.means.walk.run(place, request, times);
        const { endedAt } = this.means.walk;
        if (place === undefined || outcome === WALK_DAMAGED) return this.damaged(endedAt);
        if (times.foundOffset >= 0) return SETTLED_DONE;
        if (outcome === WALK_LIMITED) return SETTLED_LIMITED;
        if (endedAt >= place.sectionEnd) break;
        begin = { by: "place", value: endedAt };
      }
      // All of it lies in front of the request's offset.
      this.endOffset = Math.max(this.endOffset, times.nextOffset);
      at = this.search(request, table, timeMs, true, at + 1);
    }
    return passed(at);
  }

  /** @returns index of a file in the table; or, negative, NO_FILE, SEARCH_UNFINISHED, SEARCH_DAMAGED */
  private search(
    request: SettledRequest,
    table: SettledFileTable,
    value: number,
    byTime: boolean,
    from: number | undefined,
  ): number {
    const { storage, files, indexes } = this.means;
    const key = `${request.shardId}:${request.topicId}:${request.partition}:${byTime ? "t" : "o"}${value}`;
    let search = this.searches.get(key);
    this.searches.delete(key);
    if (search === undefined || search.table !== table) {
      search = new SettledSearch(table, request.topicId, request.partition, value, byTime, from);
    }
    this.path = table.directory;
    const at = search.run(storage, files, indexes);
    if (at === SEARCH_UNFINISHED) {
      this.keep(key, search);
      return at;
    }
    // Where the entries of a file could not all be indexed, what is wanted may be among those behind the damage.
    if (search.before?.complete === false && (byTime || !reaches(search, value))) {
      this.path = table.source(search.beforeAt).path;
      this.damagedAt = search.before.damagedAt ?? 0;
      return SEARCH_DAMAGED;
    }
    this.endOffset = Math.max(this.endOffset, search.before?.endOffset ?? 0);
    return at;
  }

  private keep(key: string, search: SettledSearch): void {
    this.searches.set(key, search);
    if (this.searches.size <= SEARCHES_MAX) return;
    for (const oldest of this.searches.keys()) {
      this.searches.delete(oldest);
      return;
    }
  }

  private place(
    request: SettledRequest,
    table: SettledFileTable,
    at: number,
    begin: Begin,
    wantedBytes: number,
  ): SettledPlace | undefined {
    const { storage, files, indexes } = this.means;
    this.path = table.source(at).path;
    return settledPlace(storage, files, indexes, table, at, request, begin, wantedBytes);
  }

  private damaged(at: number): number {
    this.damagedAt = at;
    return READ_DAMAGED;
  }
}

/** The file before the one found is damaged, and the search cannot pass it. */
const SEARCH_DAMAGED = -3;

function passed(at: number): number {
  if (at === SEARCH_UNFINISHED) return READ_UNFINISHED;
  return at === SEARCH_DAMAGED ? READ_DAMAGED : SETTLED_PASSED;
}

function reaches({ found }: SettledSearch, offset: number): boolean {
  return found !== undefined && found.firstOffset <= offset;
}
