import type {
  AcquiredPartition,
  Assignment,
  CursorCommit,
  CursorOutcome,
  GatewayPort,
  Subscription as NamedSubscription,
  Topic,
} from "@millrace/broker/internal";
import {
  type AssignedPartition,
  ERROR_CODES,
  encodeAssigned,
  encodeRevoked,
  type FrameWriter,
  MillraceError,
} from "@millrace/protocol";
import type { Clock } from "./clock.ts";
import type { Consumer, ConsumerTable } from "./consumer-table.ts";
import type { DeliveryPath, Report } from "./delivery-path.ts";
import { GATEWAY_LIMITS } from "./limits.ts";
import { asRequestError } from "./request-errors.ts";
import { resumeOffset } from "./resume-offset.ts";
import type { Session } from "./session.ts";
import { type StreamReader, SUSPENDED } from "./stream-reader.ts";
import { type ReadingConsumer, Subscription } from "./subscription.ts";

const ASSIGNMENT_LOST = ERROR_CODES.ASSIGNMENT_LOST.code;
const SHARD_RESTARTED = ERROR_CODES.SHARD_RESTARTED.code;
/** Of one partition; past it a lost shard's partition may begin anew for no good reason. */
const UNANSWERED_MAX = 64;

/** What a CONSUME of mode stream comes to, once its subscription is there. */
export interface StreamConsume {
  readonly consumerId: number;
  readonly session: Session;
  readonly topic: Topic;
  readonly subscription: NamedSubscription;
  readonly creditLimit: number;
}

export interface StreamConsumerParts {
  readonly port: GatewayPort;
  readonly clock: Clock;
  readonly writer: FrameWriter;
  readonly delivery: DeliveryPath;
  readonly consumers: ConsumerTable;
  readonly report: Report;
  /** Its answers cannot be relied on: it is lost, or recovers. */
  readonly isDown: (shardId: number) => boolean;
}

/**
 * A partition that was assigned to the member:
 *
 *   without stream ──acquired of its shard: ASSIGNED──▶ read ──revoked: REVOKED──▶ finishing ──RELEASE, or too late──▶ gone
 */
interface Held {
  readonly partition: number;
  readonly epoch: number;
  /** Undefined until the partition's shard knows of the assignment, and its client. */
  stream: StreamReader | undefined;
  /** Where the subscription stands, as far as it is known. */
  cursor: number;
  /** Where it may stand as well: commits that were not answered. */
  readonly unanswered: Set<number>;
  /** The client is to finish what it has; nothing more comes. */
  isFinishing: boolean;
}

/** A member of a stream subscription: the partitions that its home shard assigned to it, and their streams. */
export class StreamConsumer implements Consumer, ReadingConsumer {
  readonly consumerId: number;
  readonly session: Session;
  readonly topicId: number;
  readonly subscriptionId: number;
  readonly homeShard: number;
  readonly #parts: StreamConsumerParts;
  readonly #topic: Topic;
  readonly #subscription: NamedSubscription;
  readonly #reader: Subscription;
  readonly #held: Map<number, Held> = new Map();
  readonly #commits: Set<Promise<unknown>> = new Set();
  #ended = false;
  #hasJoined = false;

  constructor(consume: StreamConsume, homeShard: number, parts: StreamConsumerParts) {
    const { consumerId, session, topic, subscription, creditLimit } = consume;
    this.consumerId = consumerId;
    this.session = session;
    this.topicId = topic.topicId;
    this.subscriptionId = subscription.subscriptionId;
    this.homeShard = homeShard;
    this.#parts = parts;
    this.#topic = topic;
    this.#subscription = subscription;
    this.#reader = new Subscription(session, consumerId, creditLimit, this);
    this.#reader.paused = subscription.paused;
    parts.delivery.enter(this.#reader, topic);
  }

  /** Partitions that it holds, or has yet to finish. */
  get heldPartitions(): readonly number[] {
    return [...this.#held.keys()];
  }

  grant(_slots: number, creditLimit: number): void {
    this.#parts.delivery.grant(this.#reader, creditLimit);
  }

  setPaused(paused: boolean): void {
    this.#parts.delivery.setPaused(this.#reader, paused);
  }

  /** Commits that are under way are still answered. */
  async stop(): Promise<void> {
    this.#ended = true;
    this.#parts.delivery.end(this.#reader);
    await Promise.allSettled(this.#commits);
  }

  end(): void {
    this.#ended = true;
    this.#parts.delivery.end(this.#reader);
    this.#held.clear();
    this.#tellHome(this.#parts.port.groupLeave(this.#subscription, this.consumerId));
  }

  onReadFailed(_stream: StreamReader, error: MillraceError): void {
    this.#parts.consumers.fail(this, error);
  }

  // ---- home shard ----

  /** Makes it a member, again if the home shard was lost: with all that it still holds. */
  async join(): Promise<void> {
    const held = [...this.#held.values()].map(({ partition, epoch }): Assignment => [partition, epoch]);
    try {
      await this.#parts.port.groupJoin(this.#subscription, this.consumerId, held, this.#hasJoined);
      this.#hasJoined = true;
    } catch (error) {
      // It joins when the shard is up again; one that is out of service may never be.
      const isLost = this.#parts.isDown(this.homeShard) && !isFailure(error);
      if (!this.#ended && !isLost) this.#onRefused(error, this.homeShard, () => void this.join());
    }
  }

  /** What the home shard has decided. `withinMs` 0: what is revoked is somebody else's already. */
  onAssignment(assigned: readonly Assignment[], revoked: readonly Assignment[], withinMs: number): void {
    if (this.#ended) return;
    const known = revoked.flatMap(([partition, epoch]) => this.#find(partition, epoch) ?? []);
    if (withinMs === 0) this.#lose(known);
    else this.#revoke(known, withinMs);
    const gained: Held[] = [];
    for (const [partition, epoch] of assigned) {
      const before = this.#held.get(partition);
      if (before !== undefined) this.#lose([before]);
      const held = {
        partition,
        epoch,
        stream: undefined,
        cursor: 0,
        unanswered: new Set<number>(),
        isFinishing: false,
      };
      this.#held.set(partition, held);
      gained.push(held);
    }
    for (const [shardId, part] of this.#byShard(gained)) void this.#acquire(shardId, part);
  }

  /** RELEASE. What it does not hold under that epoch is passed over. */
  release(assignments: readonly Assignment[]): void {
    const released = assignments.flatMap(([partition, epoch]) => this.#find(partition, epoch) ?? []);
    this.#drop(released);
    this.#giveBack(released);
  }

  #revoke(known: readonly Held[], withinMs: number): void {
    const unseen = known.filter(({ stream }) => stream === undefined);
    this.#drop(unseen);
    this.#giveBack(unseen);
    // A home shard that was lost meanwhile may ask again for what the client is finishing.
    const revoked = known.filter(({ stream, isFinishing }) => stream !== undefined && !isFinishing);
    if (revoked.length === 0) return;
    this.#stopReading(revoked);
    for (const held of revoked) held.isFinishing = true;
    this.#sendRevoked(revoked, withinMs);
    // The home shard takes it in time; should it have forgotten that, nobody would ever get it.
    this.#parts.clock.after(withinMs + GATEWAY_LIMITS.revokeGraceMs, () => {
      this.#resign(revoked.filter((held) => this.#held.get(held.partition) === held));
    });
  }

  /** Their shards do not know these as the member's: it is to get them, or others, under epochs that they know. */
  #resign(refused: readonly Held[]): void {
    this.#lose(refused);
    this.#giveBack(refused);
  }

  /** These are somebody else's. */
  #lose(lost: readonly Held[]): void {
    this.#drop(lost);
    const seen = lost.filter(({ stream }) => stream !== undefined);
    if (seen.length > 0) this.#sendRevoked(seen, 0);
  }

  #drop(gone: readonly Held[]): void {
    this.#stopReading(gone);
    for (const { partition } of gone) this.#held.delete(partition);
  }

  #stopReading(held: readonly Held[]): void {
    const streams = new Set(held.flatMap(({ stream, isFinishing }) => (isFinishing ? [] : (stream ?? []))));
    if (streams.size > 0) this.#parts.delivery.remove(this.#reader, streams);
  }

  #giveBack(held: readonly Held[]): void {
    if (held.length === 0) return;
    const rows = held.map(({ partition, epoch }): Assignment => [partition, epoch]);
    this.#tellHome(this.#parts.port.groupReleased(this.#subscription, this.consumerId, rows));
  }

  /** A home shard that is lost learns what is held when it is back; one that does not answer takes what runs out of time. */
  #tellHome(told: Promise<void>): void {
    told.catch((error: unknown) => {
      if (this.#parts.isDown(this.homeShard) || isRestart(error)) return;
      const { consumerId, subscriptionId } = this;
      this.#parts.report("home-shard-not-told", { consumerId, subscriptionId, error: describe(error) });
    });
  }

  // ---- partitions ----

  /** The shard is back: its partitions are acquired anew, and read on. */
  onShardUp(shardId: number): void {
    const held = this.#byShard([...this.#held.values()]).get(shardId);
    if (held !== undefined) void this.#acquire(shardId, held);
  }

  /** The cursors were moved: what the home shard has not taken by itself is given back now. */
  onSought(): void {
    for (const [shardId, held] of this.#byShard([...this.#held.values()])) {
      if (!this.#parts.isDown(shardId)) void this.#acquire(shardId, held);
    }
  }

  async #acquire(shardId: number, wanted: readonly Held[]): Promise<void> {
    const { delivery, port } = this.#parts;
    const isCurrent = (held: Held): boolean => this.#held.get(held.partition) === held && !held.isFinishing;
    const asked = wanted.filter(isCurrent);
    if (this.#ended || asked.length === 0) return;
    const generation = delivery.generation(shardId);
    let rows: readonly AcquiredPartition[];
    try {
      rows = await port.acquire(
        this.#subscription,
        asked.map(({ partition, epoch }) => [partition, epoch]),
      );
    } catch (error) {
      // It is asked again when it is up.
      if (this.#ended || this.#parts.isDown(shardId) || delivery.generation(shardId) !== generation) return;
      this.#onRefused(error, shardId, () => void this.#acquire(shardId, wanted));
      return;
    }
    if (this.#ended || delivery.generation(shardId) !== generation) return;
    const acquired = new Map(rows.map((row) => [row.partition, row]));
    const current = asked.filter(isCurrent);
    // Its log may be another one than the client has read, or the cursor was moved while those were lost who would have
    // told members of it: somebody begins anew, under an epoch that fences off what is still on its way.
    const isLost = ({ partition, stream, cursor, unanswered }: Held): boolean => {
      const row = acquired.get(partition);
      if (row === undefined || row.refused) return true;
      if (stream === undefined) return false;
      const isMoved = row.offset !== cursor && !unanswered.has(row.offset);
      return isMoved || row.logEpoch !== stream.logEpoch;
    };
    this.#resign(current.filter(isLost));
    this.#readAll(
      current
        .filter((held) => !isLost(held))
        .map((held) => ({ held, row: acquired.get(held.partition) as AcquiredPartition })),
    );
  }

  #readAll(acquired: readonly { readonly held: Held; readonly row: AcquiredPartition }[]): void {
    const { delivery } = this.#parts;
    const reader = this.#reader;
    const resumed: StreamReader[] = [];
    const assigned: AssignedPartition[] = [];
    for (const { held, row } of acquired) {
      const { partition, epoch } = held;
      const { logStartOffset, highWatermark, logEpoch, offset, cursorLogEpoch } = row;
      held.cursor = offset;
      held.unanswered.clear();
      if (held.stream !== undefined) {
        if (held.stream.state === SUSPENDED) resumed.push(held.stream);
        continue;
      }
      // Below the start of the log is what retention took meanwhile: the reader is told by PROGRESS and goes on.
      const startOffset = resumeOffset({ offset, logEpoch: cursorLogEpoch }, { highWatermark, logEpoch });
      if (cursorLogEpoch !== logEpoch) {
        const { consumerId, subscriptionId } = this;
        const fields = {
          consumerId,
          subscriptionId,
          partition,
          offset,
          startOffset,
          cursorLogEpoch,
          logEpoch,
        };
        this.#parts.report("cursor-log-epoch-changed", fields);
      }
      held.stream = delivery.add(reader, partition, startOffset, logEpoch);
      resumed.push(held.stream);
      const { streamId } = held.stream;
      const bounds = { logStartOffset, highWatermark, logEpoch };
      assigned.push({ partition, assignmentEpoch: epoch, streamId, startOffset, ...bounds });
    }
    if (assigned.length > 0) this.#sendAssigned(assigned);
    delivery.resume(reader, resumed);
  }

  /** @returns an outcome for each, in their order: 0, or an error number */
  async commit(rows: readonly CursorCommit[]): Promise<readonly number[]> {
    // Of what it was told of: a client cannot guess its way to what others hold.
    const isHeld = rows.map(([partition, epoch]) => this.#find(partition, epoch)?.stream !== undefined);
    const held = rows.filter((_, i) => isHeld[i]);
    if (held.length === 0) return rows.map(() => ASSIGNMENT_LOST);
    for (const [partition, epoch, offset] of held) {
      const unanswered = this.#find(partition, epoch)?.unanswered;
      if (unanswered !== undefined && unanswered.size < UNANSWERED_MAX) unanswered.add(offset);
    }
    const committing = this.#parts.port.commitCursors(this.#subscription, held);
    this.#commits.add(committing);
    try {
      const outcomes = await committing;
      this.#onCommitted(held, outcomes);
      let next = 0;
      return rows.map((_, i) => (isHeld[i] ? (outcomes[next++]?.[2] ?? ASSIGNMENT_LOST) : ASSIGNMENT_LOST));
    } finally {
      this.#commits.delete(committing);
    }
  }

  #onCommitted(rows: readonly CursorCommit[], outcomes: readonly CursorOutcome[]): void {
    const lost: Held[] = [];
    rows.forEach(([partition, epoch, offset], i) => {
      const held = this.#find(partition, epoch);
      if (held === undefined) return;
      const outcome = outcomes[i]?.[2];
      // Otherwise nobody knows.
      if (outcome !== SHARD_RESTARTED) held.unanswered.delete(offset);
      if (outcome === 0) held.cursor = offset;
      else if (outcome === ASSIGNMENT_LOST && !held.isFinishing) lost.push(held);
    });
    this.#resign(lost);
  }

  #onRefused(error: unknown, shardId: number, again: () => void): void {
    const refusal = asRequestError(error);
    // What it has of other shards goes on; the rest comes back when an operator has repaired this one.
    if (isFailure(refusal) && this.#held.size > 0) return;
    if (!refusal.retriable) {
      this.#parts.consumers.fail(this, refusal);
      return;
    }
    this.#parts.clock.after(GATEWAY_LIMITS.groupRetryMs, () => {
      // A shard that was lost meanwhile brings its members and partitions back by itself.
      if (!this.#ended && !this.#parts.isDown(shardId)) again();
    });
  }

  #find(partition: number, epoch: number): Held | undefined {
    const held = this.#held.get(partition);
    return held?.epoch === epoch ? held : undefined;
  }

  #byShard(held: readonly Held[]): Map<number, Held[]> {
    const parts = new Map<number, Held[]>();
    for (const each of held) {
      const shardId = this.#topic.shards[each.partition] as number;
      const part = parts.get(shardId);
      if (part === undefined) parts.set(shardId, [each]);
      else part.push(each);
    }
    return parts;
  }

  // ---- frames ----

  #sendAssigned(partitions: readonly AssignedPartition[]): void {
    const { writer } = this.#parts;
    writer.reset();
    encodeAssigned(writer, { consumerId: this.consumerId, partitions });
    this.session.sendWritten();
  }

  #sendRevoked(held: readonly Held[], withinMs: number): void {
    const { writer } = this.#parts;
    writer.reset();
    encodeRevoked(writer, {
      consumerId: this.consumerId,
      partitions: held.map(({ partition, epoch }) => ({ partition, assignmentEpoch: epoch })),
      withinMs,
    });
    this.session.sendWritten();
  }
}

function isRestart(error: unknown): boolean {
  return error instanceof MillraceError && error.code === "SHARD_RESTARTED";
}

function isFailure(error: unknown): boolean {
  return error instanceof MillraceError && error.code === "JOURNAL_FAILED";
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
