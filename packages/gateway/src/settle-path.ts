import { type GatewayPort, SHARD_DOWN } from "@millrace/broker/internal";
import {
  ERROR_CODES,
  type FrameReader,
  type FrameWriter,
  LeasedReader,
  MillraceError,
  SETTLE_ACTION,
  writeSettledHead,
  writeSettledRow,
} from "@millrace/protocol";
import type { Clock } from "./clock.ts";
import { Fifo } from "./fifo.ts";
import { GATEWAY_LIMITS } from "./limits.ts";
import { QueueConsumer } from "./queue-consumer.ts";
import type { Session } from "./session.ts";
import { SettleReader } from "./settle-reader.ts";

const UNKNOWN_CONSUMER = ERROR_CODES.UNKNOWN_CONSUMER.code;
const SUBSCRIPTION_MODE = ERROR_CODES.SUBSCRIPTION_MODE.code;
const UNKNOWN_PARTITION = ERROR_CODES.UNKNOWN_PARTITION.code;
const LEASE_EXPIRED = ERROR_CODES.LEASE_EXPIRED.code;
const SHARD_RESTARTED = ERROR_CODES.SHARD_RESTARTED.code;
const THROTTLED = ERROR_CODES.THROTTLED.code;

/** What waits for room in a shard's ring: a settle, or, after those of a consumer, that it is gone. */
type Parked = ParkedSettle | { readonly detached: number };

interface ParkedSettle {
  readonly consumer: QueueConsumer;
  readonly settleId: number;
  readonly action: number;
  readonly partition: number;
  readonly leaseEpoch: number;
  readonly leaseCounter: number;
  readonly firstOffset: number;
  readonly count: number;
  readonly argument: number;
  readonly reason: Uint8Array | undefined;
}

/**
 * The way of a settle from a frame to the shard that leased, and of its outcome back. What one consumer says of one shard's
 * leases arrives there in order, whatever the ring; outcomes go out in one SETTLED frame per consumer and drain.
 */
export class SettlePath {
  readonly #port: GatewayPort;
  readonly #writer: FrameWriter;
  readonly #clock: Clock;
  readonly #rows: SettleReader = new SettleReader();
  readonly #leases: LeasedReader = new LeasedReader();
  readonly #parked: Fifo<Parked>[] = [];
  #parkedCount = 0;
  /** Of each shard that leases: the epoch of its leases, and the last one that is over. */
  readonly #epochs: (number | undefined)[] = [];
  readonly #epochsOver: (number | undefined)[] = [];
  #dirty: QueueConsumer[] = [];
  #flushPlanned = false;

  constructor(port: GatewayPort, writer: FrameWriter, clock: Clock) {
    this.#port = port;
    this.#writer = writer;
    this.#clock = clock;
  }

  /** Settles and detaches that wait for room in a ring. */
  get parkedCount(): number {
    return this.#parkedCount;
  }

  /** Whether what is sent to the shard now would overtake something. */
  hasParked(shardId: number): boolean {
    return (this.#parked[shardId]?.length ?? 0) > 0;
  }

  /** A SETTLE frame whose type was read; its bytes are valid until the call returns. @throws MillraceError MALFORMED_FRAME */
  onSettle(session: Session, reader: FrameReader): void {
    const rows = this.#rows;
    rows.open(reader);
    const consumer = session.consumers?.get(rows.consumerId);
    if (!(consumer instanceof QueueConsumer)) {
      // It may have crossed with the end of the consumer.
      this.#refuseRows(session, consumer === undefined ? UNKNOWN_CONSUMER : SUBSCRIPTION_MODE);
      return;
    }
    while (rows.next()) {
      if (session.openSettles >= GATEWAY_LIMITS.openSettlesMax) {
        throw new MillraceError("TOO_MANY_REQUESTS", "too many settles are unanswered");
      }
      this.#settle(consumer);
    }
  }

  /**
   * A shard's answer.
   * @returns whether the messages that it states are settled: those of an extension that comes too late are not.
   */
  onSettled(consumer: QueueConsumer, shardId: number, settleId: number, outcome: number): boolean {
    if (consumer.ended) return false;
    const { unanswered } = consumer.stake(shardId);
    const frees = unanswered.get(settleId);
    if (frees !== undefined) {
      unanswered.delete(settleId);
      consumer.opened(-1);
    }
    this.#result(consumer, settleId, outcome);
    return frees ?? true;
  }

  /** The consumer is over: its shards are to take back what it had. */
  detach(consumer: QueueConsumer): void {
    if (consumer.detached) return;
    consumer.detached = true;
    const { consumerId } = consumer;
    for (const { shardId } of consumer.stakes.values()) {
      const parked = this.#parkedOf(shardId);
      const outcome = parked.length > 0 ? -1 : this.#port.detach(shardId, consumerId);
      if (outcome === 0 || outcome === SHARD_DOWN) continue;
      parked.push({ detached: consumerId });
      this.#parkedCount += 1;
    }
  }

  /** A LEASED frame of this shard: its leases are void when the shard goes down, and so are they then known by their epoch. */
  onLeased(shardId: number, bytes: Uint8Array, frameStart: number, frameLength: number): void {
    if (this.#epochs[shardId] !== undefined) return;
    this.#leases.reset(bytes, frameStart, frameStart + frameLength);
    if (this.#leases.next()) this.#epochs[shardId] = this.#leases.leaseEpoch;
  }

  /** The shard's ring has room again. */
  onSpace(shardId: number): void {
    const parked = this.#parkedOf(shardId);
    for (let first = parked.first; first !== undefined; first = parked.first) {
      const outcome =
        "detached" in first ? this.#port.detach(shardId, first.detached) : this.#sendParked(shardId, first);
      if (outcome !== 0 && outcome !== SHARD_DOWN) return;
      parked.shift();
      this.#parkedCount -= 1;
    }
  }

  /** The shard has forgotten its leases, and what it was told and had not answered may have had effect or not. */
  onShardDown(shardId: number): void {
    const epoch = this.#epochs[shardId];
    if (epoch !== undefined) this.#epochsOver[shardId] = epoch;
    this.#epochs[shardId] = undefined;
    const parked = this.#parkedOf(shardId);
    for (let first = parked.shift(); first !== undefined; first = parked.shift()) {
      this.#parkedCount -= 1;
      if (!("detached" in first)) this.onSettled(first.consumer, shardId, first.settleId, LEASE_EXPIRED);
    }
    if (this.#dirty.length > 0) this.#planFlush();
  }

  /** After onShardDown, for each consumer. */
  lose(consumer: QueueConsumer, shardId: number): void {
    const unanswered = consumer.stakes.get(shardId)?.unanswered;
    if (unanswered === undefined || unanswered.size === 0) return;
    for (const settleId of [...unanswered.keys()])
      this.onSettled(consumer, shardId, settleId, SHARD_RESTARTED);
    this.#planFlush();
  }

  /** End of a drain. */
  flush(): void {
    if (this.#dirty.length === 0) return;
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const consumer of dirty) {
      consumer.resultsPlanned = false;
      this.flushConsumer(consumer);
    }
  }

  /** Sends the consumer what it is owed, unless its socket is full; one that is stopping gets its last answers anyway. */
  flushConsumer(consumer: QueueConsumer): void {
    const { results, session } = consumer;
    const isLast = consumer.onAnswered !== undefined && consumer.openSettles === results.length;
    if (consumer.ended || !(isLast || session.canSend())) return;
    const { length } = results;
    const writer = this.#writer;
    for (let start = 0; start < length; start += GATEWAY_LIMITS.settledPerFrameMax) {
      const end = Math.min(length, start + GATEWAY_LIMITS.settledPerFrameMax);
      writer.reset();
      writeSettledHead(writer, consumer.consumerId, end - start);
      for (let i = start; i < end; i += 1) writeSettledRow(writer, results.settleId(i), results.outcome(i));
      session.sendWritten();
    }
    consumer.opened(-length);
    results.clear();
    if (isLast) consumer.onAnswered?.();
  }

  /** The row that was read. */
  #settle(consumer: QueueConsumer): void {
    const rows = this.#rows;
    const { settleId, partition, leaseEpoch } = rows;
    const shardId = consumer.shards[partition];
    if (shardId === undefined) {
      this.#refuse(consumer, UNKNOWN_PARTITION);
      return;
    }
    const epochOver = this.#epochsOver[shardId];
    if (consumer.detached || (epochOver !== undefined && leaseEpoch <= epochOver)) {
      this.#refuse(consumer, LEASE_EXPIRED);
      return;
    }
    const { unanswered } = consumer.stake(shardId);
    const outcome = this.hasParked(shardId) ? -1 : this.#send(shardId, consumer.consumerId, rows);
    if (outcome === SHARD_DOWN) {
      this.#refuse(consumer, LEASE_EXPIRED);
      return;
    }
    if (outcome !== 0) {
      if (this.#parkedCount >= GATEWAY_LIMITS.parkedSettlesMax) {
        this.#refuse(consumer, THROTTLED);
        return;
      }
      this.#park(shardId, consumer);
    }
    if (unanswered.has(settleId)) return;
    unanswered.set(settleId, rows.action !== SETTLE_ACTION.EXTEND);
    consumer.opened(1);
  }

  #send(shardId: number, consumerId: number, row: Omit<ParkedSettle, "consumer">): number {
    return this.#port.settle(
      shardId,
      consumerId,
      row.settleId,
      row.action,
      row.partition,
      row.leaseEpoch,
      row.leaseCounter,
      row.firstOffset,
      row.count,
      row.argument,
      row.reason,
    );
  }

  #sendParked(shardId: number, parked: ParkedSettle): number {
    return this.#send(shardId, parked.consumer.consumerId, parked);
  }

  #park(shardId: number, consumer: QueueConsumer): void {
    const rows = this.#rows;
    this.#parkedOf(shardId).push({
      consumer,
      settleId: rows.settleId,
      action: rows.action,
      partition: rows.partition,
      leaseEpoch: rows.leaseEpoch,
      leaseCounter: rows.leaseCounter,
      firstOffset: rows.firstOffset,
      count: rows.count,
      argument: rows.argument,
      reason: rows.reason?.slice(),
    });
    this.#parkedCount += 1;
  }

  #parkedOf(shardId: number): Fifo<Parked> {
    let parked = this.#parked[shardId];
    if (parked === undefined) {
      parked = new Fifo();
      this.#parked[shardId] = parked;
    }
    return parked;
  }

  /** The row that was read comes to nothing. */
  #refuse(consumer: QueueConsumer, outcome: number): void {
    this.#result(consumer, this.#rows.settleId, outcome);
    this.#planFlush();
  }

  #refuseRows(session: Session, outcome: number): void {
    const rows = this.#rows;
    const writer = this.#writer;
    writer.reset();
    writeSettledHead(writer, rows.consumerId, rows.rowCount);
    while (rows.next()) writeSettledRow(writer, rows.settleId, outcome);
    if (rows.rowCount > 0) session.sendWritten();
  }

  #result(consumer: QueueConsumer, settleId: number, outcome: number): void {
    if (consumer.ended) return;
    consumer.results.push(settleId, outcome);
    consumer.opened(1);
    if (consumer.resultsPlanned) return;
    consumer.resultsPlanned = true;
    this.#dirty.push(consumer);
  }

  /** Outside of a drain. */
  #planFlush(): void {
    if (this.#flushPlanned) return;
    this.#flushPlanned = true;
    this.#clock.soon(() => {
      this.#flushPlanned = false;
      this.flush();
    });
  }
}
