import type { Doorbell } from "@millrace/core";
import type { Journal } from "@millrace/journal";
import { DISK_FULL, type DiskReserve } from "@millrace/journal/internal";
import { MillraceError } from "@millrace/protocol";
import { BROKER_LIMITS } from "../limits.ts";
import * as inbound from "../link/inbound-layout.ts";
import type { LinkBuffers } from "../link/link-buffers.ts";
import type { LogLevel } from "../logger.ts";
import { Dispatcher } from "../subscription/dispatcher.ts";
import { HomeGroups } from "../subscription/home-groups.ts";
import type { Clock } from "./clock.ts";
import { ConsumerLink } from "./consumer-link.ts";
import { type ColdReads, Delivery } from "./delivery.ts";
import { EntrySource } from "./entry-source.ts";
import { FenceWatch } from "./fence-watch.ts";
import { GatewayDepartures } from "./gateway-departures.ts";
import { LogStarts } from "./log-starts.ts";
import { OwnAppends } from "./own-appends.ts";
import type { Partition } from "./partition.ts";
import type { PendingAcks } from "./pending-acks.ts";
import { Publisher } from "./publisher.ts";
import { ReadIntake } from "./read-intake.ts";
import { ShardLink } from "./shard-link.ts";
import { ShardRequests } from "./shard-requests.ts";
import type { ShardState, StateChange } from "./shard-state.ts";
import { encodeStateChanges } from "./state-entry.ts";
import { Upkeep } from "./upkeep.ts";

export interface ShardOptions {
  readonly shardId: number;
  readonly shardCount: number;
  readonly state: ShardState;
  readonly journal: Journal;
  readonly link: LinkBuffers;
  /** Wakes the gateway. */
  readonly gatewayDoorbell: Doorbell;
  readonly coldReads: ColdReads;
  /** Number of its first fetch, where the shard was open before on the same thread; default 0. */
  readonly firstFetch?: number | undefined;
  readonly clock: Clock;
  /** Of the journal's segments; a checkpoint is taken after so many bytes too. Default BROKER_LIMITS.segmentBytesMax. */
  readonly segmentBytes?: number;
  /** Room for what must be written to a full disk. */
  readonly reserve?: DiskReserve;
  /** Tests only: default BROKER_LIMITS.retentionCheckMs. */
  readonly retentionCheckMs?: number;
  /** Rare events, such as what retention has dropped. */
  readonly log?: (level: LogLevel, event: string, fields: Record<string, unknown>) => void;
}

/** Inbound records handled per duty cycle at most, whatever their size. */
const DRAIN_RECORDS_MAX = 16_384;

/**
 * A shard: a journal and a single-threaded state machine over a fixed set of partitions.
 *
 *   drain inbound (bounded) -> apply -> write -> ask for a sync -> on commit: acks, deliveries -> ring doorbells
 *
 * `doWork` does one such cycle without waiting for anything; storage, clock and memory are injected, so the
 * same class runs on a shard thread and in the simulator. State between append and commit is speculative:
 * nothing shows it, and if the commit fails the instance is thrown away and recovery replays the journal.
 */
export class Shard {
  readonly shardId: number;
  /** Stored batches at any offset of the shard's partitions. */
  readonly entries: EntrySource;
  /** Batches that the shard makes itself. */
  readonly ownAppends: OwnAppends;
  /** Leases of queue and keyed subscriptions. */
  readonly dispatcher: Dispatcher;
  readonly #state: ShardState;
  readonly #journal: Journal;
  readonly #link: ShardLink;
  readonly #delivery: Delivery;
  readonly #reads: ReadIntake;
  readonly #publisher: Publisher;
  readonly #requests: ShardRequests;
  readonly #logStarts: LogStarts;
  readonly #upkeep: Upkeep;
  readonly #homeGroups: HomeGroups;
  readonly #departures: GatewayDepartures;
  readonly #fence: FenceWatch;
  readonly #checkpointBytes: number;
  readonly #clock: Clock;
  readonly #onAdvanced: (partition: Partition) => void;
  /** Work that waits until the journal is committed up to a position, oldest first. */
  readonly #onCommit: { position: number; run: () => void }[] = [];
  #cycle = 0;
  #finishing = false;
  #syncNeeded = false;
  #lastSyncMs: number;
  #lastSyncPosition: number;
  /** 0: nothing to try again. */
  #retryFlushAtMs = 0;
  #flushFailed = false;
  /** Journal position of what was rescued from the ring when the disk was full. */
  #rescuedPosition = -1;
  /**
   * The ring position below which every batch was acknowledged and delivered to its tail group; and the next
   * one, which takes its place once all runs up to a journal position have gone out.
   */
  #heldRing: number;
  #markPosition = -1;
  #markRing = 0;
  /** Head of the inbound ring from which on the partitions' tails are looked through again. */
  #evictAt = 0;

  constructor(options: ShardOptions) {
    this.shardId = options.shardId;
    this.#state = options.state;
    this.#journal = options.journal;
    this.#clock = options.clock;
    this.#link = new ShardLink(options.link, options.gatewayDoorbell);
    this.#heldRing = this.#link.inbound.headPosition;
    this.#delivery = new Delivery(this.#link, options.coldReads);
    this.#reads = new ReadIntake(this.#link, options.state, this.#delivery);
    this.entries = new EntrySource(
      options.shardId,
      this.#delivery.memory,
      options.coldReads,
      options.firstFetch,
    );
    this.#publisher = new Publisher(options.state, options.journal, this.#link, {
      reserveOffsets: (partition, until) => this.#reserveOffsets(partition, until),
    });
    this.ownAppends = new OwnAppends({
      journal: options.journal,
      clock: options.clock,
      stagePrivately: (stage) => this.#stagePrivately(stage),
      afterCommit: (run) => this.#afterCommit(run),
      advanced: (partition) => this.#advanced(partition),
    });
    const consumerLink = new ConsumerLink(this.#link);
    this.dispatcher = new Dispatcher({
      link: consumerLink,
      state: options.state,
      journal: options.journal,
      source: this.entries,
      ownAppends: this.ownAppends,
      clock: options.clock,
      stageChanges: (changes) => this.#stageChanges(changes),
      afterCommit: (run) => this.#afterCommit(run),
    });
    this.#logStarts = new LogStarts({
      stageChanges: (changes) => this.#stageChanges(changes),
      afterCommit: (run) => this.#afterCommit(run),
      moved: (partition) => this.dispatcher.advanced(partition),
    });
    this.#checkpointBytes = options.segmentBytes ?? BROKER_LIMITS.segmentBytesMax;
    this.#upkeep = new Upkeep({
      state: options.state,
      journal: options.journal,
      logStarts: this.#logStarts,
      clock: options.clock,
      entries: this.entries,
      dispatcher: this.dispatcher,
      segmentBytes: this.#checkpointBytes,
      reserve: options.reserve,
      retentionCheckMs: options.retentionCheckMs,
      log: (level, event, fields) => options.log?.(level, event, { shardId: this.shardId, ...fields }),
      tellRefusal: (reason) => this.#link.tellRefusal(reason),
      stageNothing: () => this.#stageChanges([]),
      checkpoint: () => this.checkpoint(false),
    });
    this.#homeGroups = new HomeGroups(options.journal.epoch, (notice) =>
      consumerLink.writeNotice(notice, notice[2]),
    );
    this.#departures = new GatewayDepartures({
      link: this.#link,
      state: options.state,
      journal: options.journal,
      clock: options.clock,
      publisher: this.#publisher,
      delivery: this.#delivery,
      dispatcher: this.dispatcher,
      homeGroups: this.#homeGroups,
      afterCommit: (run) => this.#afterCommit(run),
    });
    this.#requests = new ShardRequests(options.shardId, {
      state: options.state,
      journal: options.journal,
      clock: options.clock,
      logStarts: this.#logStarts,
      entries: this.entries,
      ownAppends: this.ownAppends,
      upkeep: this.#upkeep,
      dispatcher: this.dispatcher,
      homeGroups: this.#homeGroups,
      departures: this.#departures,
      reply: (requestId, payload) => this.#link.reply(requestId, payload),
      afterCommit: (run) => this.#afterCommit(run),
      stageChanges: (changes) => this.#stageChanges(changes),
      awaitReads: (requestId) => this.#delivery.awaitReads(requestId),
      findTime: (partition, requestId, timeMs) => this.#delivery.findTime(partition, requestId, timeMs),
    });
    this.#onAdvanced = (partition) => this.#advanced(partition);
    this.#lastSyncMs = this.#clock.monotonicMs();
    this.#fence = new FenceWatch(options.journal, this.#lastSyncMs);
    this.#lastSyncPosition = this.#journal.stagedPosition;
    for (const partition of this.#state.partitions.values()) partition.highWatermark = partition.nextOffset;
  }

  get state(): ShardState {
    return this.#state;
  }

  get journal(): Journal {
    return this.#journal;
  }

  /**
   * One duty cycle.
   * @returns an amount of work; 0 = nothing to do, the thread may sleep.
   * @throws MillraceError JOURNAL_FAILED when a write or sync failed: the shard is finished.
   */
  doWork(): number {
    const nowMs = this.#clock.monotonicMs();
    this.#fence.begin(nowMs);
    const failure = this.#journal.failure();
    if (failure !== undefined) {
      const message = `journal of shard ${this.shardId} failed: ${failure.message}`;
      throw new MillraceError("JOURNAL_FAILED", message, { cause: failure });
    }
    this.#cycle = (this.#cycle + 1) | 0;
    this.#upkeep.begin(nowMs);
    this.#publisher.refusal = this.#upkeep.refusalNumber;
    let work = this.#releaseCommitted();
    work += this.entries.doWork(nowMs);
    // Before batches: they are small, and a consumer that catches up waits for each.
    work += this.#reads.run();
    work += this.dispatcher.settle(nowMs, this.#finishing);
    work += this.#drain();
    work += this.#homeGroups.work(nowMs);
    // Nothing may be staged behind the clean checkpoint.
    if (!this.#finishing) work += this.#upkeep.doWork(nowMs) + this.dispatcher.lease(nowMs);
    work += this.#answerEarly();
    work += this.#write(nowMs);
    this.#delivery.flush();
    work += this.#departures.doWork();
    this.#link.flushReplies();
    if (this.#link.publish()) work += 1;
    this.#link.release(this.#holdPosition());
    this.#evictTails();
    this.#checkpointIfDue();
    return work;
  }

  /** Milliseconds until doWork should run again even if nobody rings; Infinity when there is no timer. */
  nextTimerMs(): number {
    let atMs = Number.POSITIVE_INFINITY;
    if (this.#retryFlushAtMs > 0) atMs = this.#retryFlushAtMs;
    else if (this.#journal.stagedPosition > this.#lastSyncPosition) {
      atMs = this.#lastSyncMs + BROKER_LIMITS.lazySyncMs;
    }
    const nowMs = this.#clock.monotonicMs();
    // The reader thread rings nobody when its ring has room again.
    if (this.#delivery.hasWaitingColdReads) atMs = Math.min(atMs, nowMs + BROKER_LIMITS.coldReadRetryMs);
    if (!this.#finishing) atMs = Math.min(atMs, nowMs + this.dispatcher.nextTimerMs(nowMs));
    atMs = Math.min(atMs, this.#homeGroups.nextTimerMs());
    const timerMs = Math.min(this.#upkeep.nextTimerMs(nowMs), this.entries.nextTimerMs(nowMs));
    return Math.max(1, Math.min(atMs - nowMs, timerMs));
  }

  /** Publishes are refused while the volume is low; once they have taken this room they wait until this is called again. */
  setDiskRoom(low: boolean, roomBytes: number): void {
    this.#upkeep.setDiskRoom(low, roomBytes);
  }

  /**
   * For the end: asks for the commit of everything taken so far.
   * @returns true once all of it is committed and answered.
   */
  finish(): boolean {
    this.#syncNeeded = true;
    this.#finishing = true;
    return (
      this.#link.inbound.poll() === 0 &&
      this.#link.reads.poll() === 0 &&
      this.#journal.committedPosition() >= this.#journal.stagedPosition &&
      this.#onCommit.length === 0 &&
      this.#publisher.isIdle &&
      this.dispatcher.isSettled &&
      !this.#delivery.hasPendingTail &&
      !this.#delivery.hasWaitingColdReads &&
      !this.#link.hasReplies
    );
  }

  #releaseCommitted(): number {
    const committed = this.#journal.committedPosition();
    let work = 0;
    // Reservations first: a run that waited for its reservation stands behind it in the table.
    while (this.#onCommit.length > 0) {
      const next = this.#onCommit[0] as { position: number; run: () => void };
      if (next.position > committed) break;
      this.#onCommit.shift();
      next.run();
      work += 1;
    }
    const before = this.#publisher.syncedAcks.size;
    this.#release(this.#publisher.syncedAcks, committed);
    return work + before - this.#publisher.syncedAcks.size;
  }

  #release(table: PendingAcks, position: number): void {
    if (table.size > 0) this.#publisher.release(table, position, this.#onAdvanced);
  }

  #advanced(partition: Partition): void {
    this.#delivery.advanced(partition);
    this.dispatcher.advanced(partition);
  }

  /** Handles what stands in the inbound ring, within the limits of one cycle. */
  #drain(): number {
    const ring = this.#link.inbound;
    if (ring.poll() === 0) return 0;
    // Nothing new while consumers are owed older batches (they must not leave the cache unseen), or while
    // acks have no room.
    if (this.#delivery.hasPendingTail && !this.#delivery.flush()) return 0;
    if (this.#publisher.isFull) return 0;
    const words = ring.words;
    const wallMs = this.#clock.wallMs();
    const stopAt = ring.readPosition + BROKER_LIMITS.drainBytesMax;
    let handled = 0;
    // A record whose answer finds no room stays in the ring and is handled in a later cycle.
    while (handled < DRAIN_RECORDS_MAX && ring.readPosition < stopAt) {
      const index = ring.next();
      if (index < 0) break;
      const position = ring.recordPosition;
      switch (words[(index >> 2) + 1]) {
        case inbound.INBOUND.BATCH:
          if (!this.#finishing && !this.#upkeep.admits) return handled;
          if (!this.#publisher.apply(index, position, this.#cycle, wallMs)) return handled;
          this.#upkeep.pressure.took(words[index >> 2] as number);
          break;
        case inbound.INBOUND.REQUEST: {
          const w = index >> 2;
          const start = index + inbound.REQUEST_PAYLOAD;
          const length = words[w + inbound.REQUEST_LENGTH] as number;
          this.#requests.handle(
            words[w + inbound.REQUEST_ID] as number,
            Uint8Array.prototype.slice.call(ring.bytes, start, start + length),
          );
          break;
        }
        default:
          throw new Error(`unknown record in the inbound ring: type=${words[(index >> 2) + 1]}`);
      }
      ring.advance();
      handled += 1;
    }
    return handled;
  }

  /** What needs no write is answered and delivered before it: the gateway sends while this thread writes. */
  #answerEarly(): number {
    const { memoryAcks } = this.#publisher;
    const before = memoryAcks.size;
    if (before > 0) {
      this.#release(memoryAcks, this.#journal.stagedPosition);
      this.#delivery.flush();
    }
    this.#link.publish();
    return before - memoryAcks.size;
  }

  /** Writes what was staged, asks for the sync that somebody waits for, releases what needs no sync. */
  #write(nowMs: number): number {
    const journal = this.#journal;
    const publisher = this.#publisher;
    const staged = journal.stagedPosition;
    // Only a flush tries again to index old segments, for which a full journal and a checkpoint may be waiting.
    const lagging = journal.isFull || journal.checkpointPending;
    if (staged > journal.writtenPosition || (lagging && this.#retryFlushAtMs <= nowMs)) {
      if (this.#flushFailed && this.#retryFlushAtMs > nowMs) return 0;
      // When the disk is full, what is staged stays staged, new publishes are refused, and this is tried again.
      this.#flushFailed = this.#flush() < 0;
      this.#retryFlushAtMs =
        journal.isFull || journal.checkpointPending ? nowMs + BROKER_LIMITS.retryAfterMs : 0;
      if (this.#flushFailed) return 0;
    } else if (!lagging) {
      this.#retryFlushAtMs = 0;
    }
    const unsynced = staged - this.#lastSyncPosition;
    if (
      this.#syncNeeded ||
      publisher.syncedAcks.size > 0 ||
      unsynced >= BROKER_LIMITS.lazySyncBytes ||
      (unsynced > 0 && nowMs - this.#lastSyncMs >= BROKER_LIMITS.lazySyncMs)
    ) {
      if (unsynced > 0) journal.requestSync();
      this.#syncNeeded = false;
      this.#lastSyncMs = nowMs;
      this.#lastSyncPosition = staged;
    }
    const before = publisher.writtenAcks.size;
    if (before === 0 || !this.#fence.look(nowMs)) return 0;
    this.#release(publisher.writtenAcks, journal.writtenPosition);
    return before - publisher.writtenAcks.size;
  }

  #flush(): number {
    const outcome = this.#journal.flush();
    if (outcome !== DISK_FULL || !this.#upkeep.releaseReserve()) return outcome;
    const repeated = this.#journal.flush();
    this.#upkeep.holdRoom(this.#clock.monotonicMs());
    return repeated;
  }

  /**
   * The ring position below which no batch is needed any more: consumers at the tail get theirs from the ring
   * once it is acknowledged, however long the sync takes or the outbound ring stays full.
   */
  #holdPosition(): number {
    const readPosition = this.#link.inbound.readPosition;
    const stagedPosition = this.#journal.stagedPosition;
    const memory = this.#delivery.memory;
    if (this.#flushFailed && !memory.hasRescued) {
      // Publishes and requests must go on being answered: what waits for room on the disk may not keep the ring.
      memory.rescue(this.#heldRing, readPosition);
      this.#rescuedPosition = stagedPosition;
    }
    if (this.#flushFailed && stagedPosition === this.#rescuedPosition) {
      // Whatever came since was refused.
      this.#heldRing = readPosition;
      this.#markPosition = -1;
      return readPosition;
    }
    if (this.#delivery.hasPendingTail) return this.#heldRing;
    if (memory.hasRescued && !this.#isNeededBefore(this.#rescuedPosition)) memory.dismiss();
    if (!this.#isNeededBefore(stagedPosition)) {
      this.#heldRing = readPosition;
      this.#markPosition = -1;
      return readPosition;
    }
    if (this.#markPosition >= 0) {
      if (this.#isNeededBefore(this.#markPosition)) return this.#heldRing;
      this.#heldRing = this.#markRing;
    }
    this.#markPosition = stagedPosition;
    this.#markRing = readPosition;
    return this.#heldRing;
  }

  /** Whether a batch before the journal's `position` waits to be acked, or can be had nowhere but in the ring. */
  #isNeededBefore(position: number): boolean {
    return this.#publisher.waitsBefore(position) || this.#journal.writtenPosition < position;
  }

  /** Partitions that nobody reads or writes must not keep what they remember of the ring for ever. */
  #evictTails(): void {
    const head = this.#link.inbound.headPosition;
    if (head < this.#evictAt) return;
    this.#evictAt = head + this.#link.inbound.capacity;
    const start = this.#delivery.memory.start;
    for (const partition of this.#state.partitions.values()) partition.tail.evictBefore(start);
  }

  #afterCommit(run: () => void): void {
    this.#syncNeeded = true;
    this.#onCommit.push({ position: this.#journal.stagedPosition, run });
  }

  #stageChanges(changes: readonly StateChange[]): void {
    this.#stagePrivately(() => this.#journal.stageState(encodeStateChanges(changes)));
    this.#state.staged(changes);
  }

  #stagePrivately(stage: () => void): void {
    const journal = this.#journal;
    const isRescued = this.#flushFailed && journal.stagedPosition === this.#rescuedPosition;
    stage();
    // Taken also while the disk is full, and nothing of it stands in the ring.
    if (isRescued) this.#rescuedPosition = journal.stagedPosition;
  }

  #reserveOffsets(partition: Partition, until: number): void {
    this.#stageChanges([["reserve", partition.topicId, partition.partition, until]]);
    this.#afterCommit(() => {
      partition.reservedUntil = until;
    });
  }

  #checkpointIfDue(): void {
    if (this.#journal.bytesSinceCheckpoint >= this.#checkpointBytes) this.checkpoint(false);
  }

  /** Takes a checkpoint of the state as staged; the journal makes it count once that is committed. */
  checkpoint(clean: boolean): void {
    this.#upkeep.checkpointed(this.#journal.stagedPosition);
    this.#journal.checkpoint(this.#state.encode(), clean);
  }
}
