import { PEEK_STATE, type PeekedRecord } from "../subscription/subscription.ts";
import { HERE } from "./entry-source.ts";
import type { Partition } from "./partition.ts";
import {
  type Done,
  knownPartition,
  knownSubscription,
  type RequestContext,
  type RequestHandlers,
} from "./request-context.ts";
import type { QueuePart, StreamCursor } from "./subscription-table.ts";

/** A partition of a subscription; oldestAgeMs and blockedOffset are -1 for none. See SubscriptionPartitionState. */
export type SubscriptionStateRow = readonly [
  partition: number,
  position: number,
  logStartOffset: number,
  highWatermark: number,
  available: number,
  leased: number,
  waiting: number,
  redelivered: number,
  dead: number,
  oldestAgeMs: number,
  blockedOffset: number,
];

/** Requests that ask where subscriptions stand, and change nothing. */
export interface SubscriptionReportMap {
  subscriptionState: { args: [subscriptionId: number]; reply: SubscriptionStateRow[] };
  peek: {
    args: [subscriptionId: number, partition: number, fromOffset: number, limit: number];
    reply: PeekedRecord[];
  };
  deadLetters: {
    args: [topicId: number, partition: number, fromOffset: number, limit: number];
    reply: number[];
  };
}

/** Answers what is asked about subscriptions. Shard thread only. */
export class SubscriptionReports {
  readonly handlers: RequestHandlers<SubscriptionReportMap> = {
    subscriptionState: (args, done) => this.#state(args, done),
    peek: (args, done) => this.#peek(args, done),
    deadLetters: (args, done) => this.#deadLetters(args, done),
  };
  readonly #context: RequestContext;

  constructor(context: RequestContext) {
    this.#context = context;
  }

  #state(
    [subscriptionId]: SubscriptionReportMap["subscriptionState"]["args"],
    done: Done<SubscriptionStateRow[]>,
  ): void {
    const { cursors, queues } = knownSubscription(this.#context.state, subscriptionId);
    const rows = new Map<number, SubscriptionStateRow>();
    for (const cursor of cursors.values()) rows.set(cursor.partition.partition, this.#cursorRow(cursor));
    // A partition's own queue stands in front of that of its dead letters, which adds to it.
    for (const queue of queues.values()) {
      const { partition } = queue.partition;
      const own = rows.get(partition);
      const row = this.#queueRow(queue);
      rows.set(partition, own === undefined ? row : withDeadLetters(own, row));
    }
    done([...rows.values()]);
  }

  #cursorRow({ partition, offset }: StreamCursor): SubscriptionStateRow {
    const { logStartOffset, highWatermark } = partition;
    const position = Math.max(offset, logStartOffset);
    const available = Math.max(0, highWatermark - position);
    const ageMs = available === 0 ? -1 : this.#ageMs(partition, position);
    const { partition: number } = partition;
    return [number, offset, logStartOffset, highWatermark, available, 0, 0, 0, 0, ageMs, -1];
  }

  #queueRow({ state, partition, redelivered, dead }: QueuePart): SubscriptionStateRow {
    const { logStartOffset, highWatermark, partition: number } = partition;
    const { clock } = this.#context;
    const nowMs = clock.monotonicMs();
    // A queue that nobody consumes has not looked yet.
    state.skipBelow(logStartOffset);
    const { available, leased, waiting } = state.counts(nowMs, highWatermark);
    const blockedOffset = state.blockedOffset();
    let oldest = -1;
    state.unfinished(logStartOffset, 1, nowMs, highWatermark, (offset) => {
      oldest = offset;
    });
    return [
      number,
      state.floor,
      logStartOffset,
      highWatermark,
      available,
      leased,
      waiting,
      redelivered,
      dead,
      oldest < 0 ? -1 : this.#ageMs(partition, oldest),
      blockedOffset,
    ];
  }

  #ageMs(partition: Partition, offset: number): number {
    const { entries, journal, clock } = this.#context;
    const { topicId, partition: number } = partition;
    const entry = partition.tail.find(offset);
    const isHot = entry >= 0 && partition.tail.isInRing(entry);
    const timeMs =
      isHot && entries.locate(partition, offset) === HERE
        ? entries.appendTimeMs
        : (journal.index.timeBefore(topicId, number, offset) ?? this.#settledTimeMs(topicId));
    return timeMs === undefined ? -1 : Math.max(0, clock.wallMs() - timeMs);
  }

  /** No record of the topic that is in a settled file is older. */
  #settledTimeMs(topicId: number): number | undefined {
    const { settledFiles } = this.#context.journal;
    return settledFiles.find((file) => file.firstTopicId <= topicId && topicId <= file.lastTopicId)
      ?.firstTime;
  }

  #peek(
    [subscriptionId, number, fromOffset, limit]: SubscriptionReportMap["peek"]["args"],
    done: Done<PeekedRecord[]>,
  ): void {
    const { queues, topicId } = knownSubscription(this.#context.state, subscriptionId);
    const nowMs = this.#context.clock.monotonicMs();
    const records: PeekedRecord[] = [];
    for (const { partition, state } of queues.values()) {
      if (partition.partition !== number) continue;
      // `fromOffset` is one of the topic's own: its dead letters have others.
      const from = partition.topicId === topicId ? Math.max(fromOffset, partition.logStartOffset) : 0;
      state.unfinished(
        from,
        limit - records.length,
        nowMs,
        partition.highWatermark,
        (offset, recordState, deliveries, dueMs) => {
          const dueInMs = recordState === "waiting" ? Math.max(0, Math.round(dueMs - nowMs)) : 0;
          const stateNumber = PEEK_STATES[recordState];
          records.push([partition.topicId, partition.partition, offset, stateNumber, deliveries, dueInMs]);
        },
      );
    }
    done(records);
  }

  #deadLetters(
    [topicId, number, fromOffset, limit]: SubscriptionReportMap["deadLetters"]["args"],
    done: Done<number[]>,
  ): void {
    const { state } = this.#context;
    const partition = knownPartition(state, topicId, number);
    const offsets: number[] = [];
    let offset = state.subscriptions.nextDeadLetter(
      partition,
      Math.max(fromOffset, partition.logStartOffset),
    );
    while (offset < partition.highWatermark && offsets.length < limit) {
      offsets.push(offset);
      offset = state.subscriptions.nextDeadLetter(partition, offset + 1);
    }
    done(offsets);
  }
}

const PEEK_STATES = {
  available: PEEK_STATE.AVAILABLE,
  leased: PEEK_STATE.LEASED,
  waiting: PEEK_STATE.WAITING,
} as const;

/** A partition's row with what is redriven to it from its dead letters. */
function withDeadLetters(own: SubscriptionStateRow, letters: SubscriptionStateRow): SubscriptionStateRow {
  const [partition, position, logStart, highWatermark, available, leased, waiting] = own;
  const [, , , , , , , redelivered, dead, ageMs, blockedOffset] = own;
  return [
    partition,
    position,
    logStart,
    highWatermark,
    available + letters[4],
    leased + letters[5],
    waiting + letters[6],
    redelivered + letters[7],
    dead + letters[8],
    Math.max(ageMs, letters[9]),
    blockedOffset,
  ];
}
