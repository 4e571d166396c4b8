import { BROKER_LIMITS } from "../limits.ts";
import type { SubscriptionQueue } from "../subscription/subscription-queue.ts";
import { ByteMarks } from "./byte-marks.ts";
import type { Clock } from "./clock.ts";
import { GONE, HERE } from "./entry-source.ts";
import type { LogStartMove, LogStarts } from "./log-starts.ts";
import type { Partition } from "./partition.ts";
import type { ShardState } from "./shard-state.ts";
import type { QueuePart } from "./subscription-table.ts";
import { OVERFLOW_REFUSE } from "./topic-traits.ts";

/** What a shard finds of a record; see EntrySource. */
export interface LocatedEntries {
  readonly baseOffset: number;
  readonly count: number;
  readonly appendTimeMs: number;
  readonly nextOffset: number;
  locate(partition: Partition, offset: number): number;
}

export interface AcknowledgedContext {
  readonly state: ShardState;
  readonly journal: { readonly isFull: boolean; retainedBytes(topicId: number, partition: number): number };
  readonly logStarts: LogStarts;
  readonly clock: Clock;
  readonly entries: LocatedEntries;
  readonly dispatcher: {
    deadLetter(queue: SubscriptionQueue, offset: number, reason: string): void;
  };
  /** Records of the topic were given up: files that hold it are worth a look. */
  readonly changed: (topicId: number) => void;
}

/** Why a record was dead-lettered. */
const REASON_EXPIRED = "expired";
const REASON_OVERFLOW = "overflow";

/** What is known of a partition from look to look. */
interface Kept {
  readonly marks: ByteMarks;
  movedMs: number;
}

/**
 * Retention of topics that keep records until every queue and keyed subscription has finished them: moves the starts of their
 * logs behind them, in steps, and sees to it that what nobody finishes does not pass the topic's bounds: publishes are refused,
 * or the oldest records go to the dead letters. Without such a subscription the bounds alone count (see Retention).
 * Shard thread only.
 */
export class AcknowledgedRetention {
  readonly #context: AcknowledgedContext;
  readonly #kept: Map<Partition, Kept> = new Map();
  /** By topic: when its files were last worth a look. */
  readonly #lookedMs: Map<number, number> = new Map();
  #nextMs = 0;
  /** There is something that the next look may find changed, without anybody else's doing. */
  #isBusy = false;

  constructor(context: AcknowledgedContext) {
    this.#context = context;
  }

  /** Part of the duty cycle. @returns an amount of work */
  doWork(nowMs: number): number {
    const { state, journal } = this.#context;
    if (nowMs < this.#nextMs || (state.overflows.size === 0 && this.#kept.size === 0)) return 0;
    this.#nextMs = nowMs + BROKER_LIMITS.acknowledgedCheckMs;
    this.#isBusy = false;
    const moves: LogStartMove[] = [];
    const seen = new Set<Partition>();
    for (const [topicId, overflow] of state.overflows) {
      for (const partition of state.ofTopic(topicId)) {
        const queues = state.finishersOf(partition);
        if (queues.length === 0) continue;
        seen.add(partition);
        this.#look(partition, queues, overflow, moves, nowMs);
      }
    }
    for (const partition of this.#kept.keys()) {
      if (seen.has(partition)) continue;
      partition.refuseAtBytes = Number.POSITIVE_INFINITY;
      this.#kept.delete(partition);
    }
    if (moves.length === 0 || journal.isFull) return 0;
    this.#context.logStarts.move(moves, () => this.#moved(moves));
    return moves.length;
  }

  nextTimerMs(nowMs: number): number {
    return this.#isBusy ? Math.max(0, this.#nextMs - nowMs) : Number.POSITIVE_INFINITY;
  }

  #look(
    partition: Partition,
    queues: readonly QueuePart[],
    overflow: number,
    moves: LogStartMove[],
    nowMs: number,
  ): void {
    const kept = this.#keptOf(partition);
    kept.marks.add(partition.nextOffset, partition.appendedBytes);
    const floor = Math.min(partition.highWatermark, ...queues.map(({ state }) => state.floor));
    kept.marks.trim(Math.min(floor, partition.logStartStaged));
    if (floor > partition.logStartStaged) this.#move(partition, floor, kept, moves, nowMs);
    const boundBytes = partition.retentionBytes === 0 ? Number.POSITIVE_INFINITY : partition.retentionBytes;
    // Bytes of the log that may be there before the bound is passed: not less than what is known to be there no more.
    const { topicId, partition: number, appendedBytes } = partition;
    const retained = this.#context.journal.retainedBytes(topicId, number);
    const base = Math.max(kept.marks.bytesAt(floor), appendedBytes - retained);
    const hasUnfinished = floor < partition.highWatermark;
    if (hasUnfinished && partition.retentionMs > 0) this.#isBusy = true;
    if (overflow === OVERFLOW_REFUSE) {
      const isOld = hasUnfinished && this.#isExpired(partition, queues, floor);
      partition.refuseAtBytes = isOld ? Number.NEGATIVE_INFINITY : base + boundBytes;
      return;
    }
    // Dead-lettering takes its time: who publishes faster has to wait for it.
    partition.refuseAtBytes = base + 2 * boundBytes;
    if (hasUnfinished) this.#deadLetter(partition, queues, floor, kept, base + boundBytes - appendedBytes);
  }

  #keptOf(partition: Partition): Kept {
    let kept = this.#kept.get(partition);
    if (kept === undefined) {
      const { topicId, partition: number, logStartOffset, appendedBytes } = partition;
      kept = { marks: new ByteMarks(), movedMs: Number.NEGATIVE_INFINITY };
      kept.marks.add(logStartOffset, appendedBytes - this.#context.journal.retainedBytes(topicId, number));
      this.#kept.set(partition, kept);
    }
    return kept;
  }

  /** In steps: a start for each acknowledgement would be as much to write as the acknowledgements. */
  #move(partition: Partition, floor: number, kept: Kept, moves: LogStartMove[], nowMs: number): void {
    const { acknowledgedStepRecords, acknowledgedStepMs } = BROKER_LIMITS;
    this.#isBusy = true;
    const isLarge = floor - partition.logStartStaged >= acknowledgedStepRecords;
    if (!isLarge && nowMs - kept.movedMs < acknowledgedStepMs) return;
    kept.movedMs = nowMs;
    moves.push({ partition, offset: floor });
  }

  #moved(moves: readonly LogStartMove[]): void {
    const nowMs = this.#context.clock.monotonicMs();
    for (const topicId of new Set(moves.map(({ partition }) => partition.topicId))) {
      const before = this.#lookedMs.get(topicId) ?? Number.NEGATIVE_INFINITY;
      if (nowMs - before < BROKER_LIMITS.retentionCheckMs) continue;
      this.#lookedMs.set(topicId, nowMs);
      this.#context.changed(topicId);
    }
  }

  /** Whether the oldest unfinished record is older than it may be. Not before that is known: it may have to be read. */
  #isExpired(partition: Partition, queues: readonly QueuePart[], floor: number): boolean {
    const { entries, clock } = this.#context;
    if (partition.retentionMs === 0) return false;
    const found = entries.locate(partition, floor);
    if (found === GONE) skip(queues, floor, entries.nextOffset);
    return found === HERE && entries.appendTimeMs < clock.wallMs() - partition.retentionMs;
  }

  /** Sends what is beyond the bounds to the dead letters, oldest first. `roomBytes`: left below the byte bound. */
  #deadLetter(
    partition: Partition,
    queues: readonly QueuePart[],
    floor: number,
    { marks }: Kept,
    roomBytes: number,
  ): void {
    const { entries, clock, dispatcher } = this.#context;
    const { retentionMs, highWatermark } = partition;
    if (roomBytes >= 0 && retentionMs === 0) return;
    const expiredMs = retentionMs === 0 ? Number.NEGATIVE_INFINITY : clock.wallMs() - retentionMs;
    const nowMs = clock.monotonicMs();
    const overflowEnd = marks.bytesAt(floor) - roomBytes;
    let left = BROKER_LIMITS.acknowledgedLettersMax;
    let offset = floor;
    while (left > 0 && offset < highWatermark) {
      const found = entries.locate(partition, offset);
      if (found === GONE) skip(queues, offset, entries.nextOffset);
      if (found !== HERE) break;
      const end = entries.baseOffset + entries.count;
      const reason = entries.appendTimeMs < expiredMs ? REASON_EXPIRED : REASON_OVERFLOW;
      if (reason === REASON_OVERFLOW && (roomBytes >= 0 || marks.bytesAt(offset) >= overflowEnd)) break;
      for (const queue of queues) {
        queue.state.unfinished(offset, end - offset, nowMs, end, (unfinished) => {
          dispatcher.deadLetter(queue, unfinished, reason);
          left -= 1;
        });
      }
      offset = end;
      this.#isBusy = true;
    }
  }
}

/** There are no records up to `to`, which nobody would finish. */
function skip(queues: readonly QueuePart[], from: number, to: number): void {
  for (const { state } of queues) if (state.floor >= from && state.floor < to) state.skip(state.floor, to);
}
