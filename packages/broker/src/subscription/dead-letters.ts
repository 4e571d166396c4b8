import type { Journal } from "@millrace/journal";
import { gatewayOf } from "../link/gateway-ids.ts";
import { NOTICE_TO_ALL } from "../link/outbound-layout.ts";
import type { Clock } from "../shard/clock.ts";
import type { ConsumerLink } from "../shard/consumer-link.ts";
import { COMING, type EntrySource, GONE } from "../shard/entry-source.ts";
import type { OwnAppends } from "../shard/own-appends.ts";
import type { Partition } from "../shard/partition.ts";
import type { ShardState } from "../shard/shard-state.ts";
import type { AwaitedSettle, DeadLetter } from "./dead-letter.ts";
import { deadLetterBatch } from "./dead-letter-record.ts";
import { type DispatchedQueue, NO_LETTERS } from "./dispatched-queue.ts";
import type { QueueChange } from "./queue-change.ts";
import type { QueueChanges } from "./queue-changes.ts";
import type { ReadyQueues } from "./ready-queues.ts";
import type { SettleAnswers } from "./settle-answers.ts";

/** Dead letters made in one duty cycle: each is an entry of its own. */
const CYCLE_LETTERS_MAX = 256;
/** The node is asked again for a topic of dead letters after so long. */
const NOTICE_MS = 1_000;
/** A record that waits to be dead-lettered is looked at again after so long, by a life of the shard that has forgotten why. */
const POSTPONE_MS = 30_000;
/** Why a record went to the dead letters when its consumers have failed too often. */
export const REASON_MAX_DELIVERIES = "max-deliveries";

export interface DeadLettersContext {
  readonly link: ConsumerLink;
  readonly state: ShardState;
  readonly source: EntrySource;
  readonly journal: Journal;
  readonly ownAppends: OwnAppends;
  readonly clock: Clock;
  readonly ready: ReadyQueues;
  readonly changes: QueueChanges;
  readonly answers: SettleAnswers;
  stageChanges(changes: readonly QueueChange[]): void;
}

/**
 * Moves records to the topic of dead letters: the change of the queue and the new record stand one behind the other in the
 * journal, so that there are both or neither. What has to be read first, or has no topic yet, waits. Shard thread only.
 */
export class DeadLetters {
  readonly #context: DeadLettersContext;
  /** Queues with such records. */
  readonly #queues: Set<DispatchedQueue> = new Set();
  /** When the node was last asked for the topic of dead letters of a topic. */
  readonly #noticedMs: Map<number, number> = new Map();
  /** There is no topic yet for some. */
  #awaitsTopic = false;

  constructor(context: DeadLettersContext) {
    this.#context = context;
  }

  /** Whether a record waits for something else than room in the journal. */
  get nextMs(): number {
    return this.#awaitsTopic ? NOTICE_MS : Number.POSITIVE_INFINITY;
  }

  /** `deliveries` have failed, and there are to be no more. The record is leased by nobody. */
  addExhausted(queue: DispatchedQueue, offset: number, deliveries: number, nowMs: number): void {
    if (!queue.state.retry(offset, deliveries, nowMs + POSTPONE_MS)) return;
    this.add(queue, offset, deliveries, REASON_MAX_DELIVERIES, undefined);
  }

  /** Its consumer says so. The record is leased by nobody. */
  addRefused(
    queue: DispatchedQueue,
    offset: number,
    deliveries: number,
    reason: string,
    settle: AwaitedSettle,
    nowMs: number,
  ): void {
    if (queue.state.retry(offset, deliveries, nowMs + POSTPONE_MS) && !queue.dying.has(offset)) {
      this.add(queue, offset, deliveries, reason, settle);
    } else this.#arrived(settle);
  }

  /** Of a record in any state. Nothing if it is on its way already. */
  add(
    queue: DispatchedQueue,
    offset: number,
    deliveries: number,
    reason: string,
    settle: AwaitedSettle | undefined,
  ): void {
    if (queue.dying.has(offset)) return;
    if (queue.dying === NO_LETTERS) queue.dying = new Map();
    queue.dying.set(offset, { offset, deliveries, reason, settle });
    this.#queues.add(queue);
  }

  /** A record on its way was taken to be leased: it goes on waiting. */
  postpone(queue: DispatchedQueue, offset: number, nowMs: number): void {
    queue.state.retry(offset, queue.state.deliveries - 1, nowMs + POSTPONE_MS);
  }

  /** The queue is gone or was moved: its records are dead-lettered no more. Returns the settles that waited for it. */
  forget(queue: DispatchedQueue): AwaitedSettle[] {
    const awaited = new Set<AwaitedSettle>();
    for (const { settle } of queue.dying.values()) if (settle !== undefined) awaited.add(settle);
    queue.dying = NO_LETTERS;
    queue.dyingIsComing = false;
    this.#queues.delete(queue);
    return [...awaited];
  }

  /** The gateway's consumers are gone: nobody awaits what becomes of the records that they have given up. */
  gatewayGone(gateway: number): void {
    for (const { dying } of this.#queues) {
      for (const letter of dying.values()) {
        const { offset, settle } = letter;
        if (settle === undefined || gatewayOf(settle.consumerId) !== gateway) continue;
        dying.set(offset, { ...letter, settle: undefined });
      }
    }
  }

  /** One duty cycle's part. @returns the number of records moved */
  run(nowMs: number): number {
    if (this.#queues.size === 0) return 0;
    let moved = 0;
    this.#awaitsTopic = false;
    for (const queue of this.#queues) {
      if (queue.dyingIsComing) continue;
      moved += this.#runQueue(queue, nowMs, CYCLE_LETTERS_MAX - moved);
      if (queue.dying.size === 0) {
        queue.dying = NO_LETTERS;
        this.#queues.delete(queue);
      }
      if (moved >= CYCLE_LETTERS_MAX) break;
    }
    return moved;
  }

  #runQueue(queue: DispatchedQueue, nowMs: number, max: number): number {
    const { source, journal } = this.#context;
    let moved = 0;
    for (const letter of queue.dying.values()) {
      if (moved >= max || journal.isFull) break;
      const { offset, settle } = letter;
      const found = queue.state.isFinished(offset) ? GONE : source.locate(queue.partition, offset);
      if (found === COMING) {
        queue.dyingIsComing = true;
        this.#context.ready.awaitArrival(queue);
        break;
      }
      if (found === GONE) {
        // By retention, or its consumer was quicker than this.
        if (queue.state.ack(offset, 1) > 0) this.#context.changes.ack(queue, offset, 1);
      } else if (!this.#move(queue, letter, nowMs)) break;
      queue.dying.delete(offset);
      if (settle !== undefined) this.#arrived(settle);
      // Of a keyed queue the next record of its key can go.
      this.#context.ready.ready(queue);
      moved += 1;
    }
    return moved;
  }

  /** Of the record that the source has found. False: there is no topic for it yet. */
  #move(queue: DispatchedQueue, letter: DeadLetter, nowMs: number): boolean {
    const { partition, state } = queue;
    const { source, clock } = this.#context;
    const target = state.selected ? partition : this.#target(partition);
    if (target === undefined) {
      this.#notice(partition.topicId, nowMs);
      return false;
    }
    const { settings } = queue.subscription;
    const { topicId } = settings;
    const { offset, deliveries, reason } = letter;
    const walker = queue.walk(source);
    if (walker.seek(offset - source.baseOffset)) {
      const batch = deadLetterBatch(source.bytes, walker, {
        reason,
        deliveries,
        subscription: settings.name,
        topic: settings.topicName,
        partition: partition.partition,
        offset,
        timeMs: source.appendTimeMs,
        deadMs: clock.wallMs(),
        isRedriven: topicId !== partition.topicId,
      });
      const dead: QueueChange = [
        "dead",
        settings.subscriptionId,
        partition.topicId,
        partition.partition,
        offset,
        target.topicId,
        target.nextOffset,
      ];
      this.#context.stageChanges([dead]);
      this.#context.ownAppends.append(target, 1, batch);
      queue.queue.dead += 1;
    }
    state.dead(offset);
    return true;
  }

  /** Where the dead letters of a partition go; undefined: that topic is not there yet. */
  #target({ topicId, partition }: Partition): Partition | undefined {
    const { state } = this.#context;
    const target = state.deadLetterTopics.get(topicId);
    return target === undefined ? undefined : state.find(target, partition);
  }

  #arrived(settle: AwaitedSettle): void {
    settle.left -= 1;
    if (settle.left === 0) {
      this.#context.answers.push(settle.consumerId, settle.settleId, 0, settle.messages);
    }
  }

  #notice(topicId: number, nowMs: number): void {
    this.#awaitsTopic = true;
    const before = this.#noticedMs.get(topicId);
    if (before !== undefined && nowMs - before < NOTICE_MS) return;
    // Whoever is told first makes it.
    if (this.#context.link.writeNotice(["dead-letter-topic", topicId], NOTICE_TO_ALL)) {
      this.#noticedMs.set(topicId, nowMs);
    }
  }
}
