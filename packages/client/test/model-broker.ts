import { type AckRange, errorFrameOf, type FrameValues, LIMITS, MillraceError } from "@millrace/protocol";
import { topicInfo, valuesOf } from "./fake-broker.ts";
import type { MemorySession } from "./memory-transport.ts";

type Publish = FrameValues["PUBLISH"];

interface ProducerMemory {
  epoch: number;
  next: number;
  readonly stored: Map<number, { readonly count: number; readonly offset: number }>;
}

interface CreditMemory {
  limit: number;
  used: number;
  /** The limit asked for by a revoke that has no answer yet; nothing higher is stated meanwhile. */
  revoked: number | undefined;
  /** Asked for meanwhile. */
  wanted: number;
}

interface LoggedRecord {
  readonly offset: number;
  readonly value: string;
}

/** One partition: what is stored, and what is known of its producers. */
class ModelPartition {
  readonly log: LoggedRecord[] = [];
  nextOffset = 0;
  logEpoch = 1;
  producers: Map<number, ProducerMemory> = new Map();
  /** By base offset: puts the producer back to where it was before that batch. */
  readonly undo: Map<number, () => void> = new Map();
}

/** A batch with a record that contains this is refused, whenever it comes. */
export const BAD = "!";

/** What a fault does to one publish. */
export type Fault = "none" | "THROTTLED" | "DISK_FULL" | "SHARD_RESTARTED" | "STORED_THEN_RESTARTED";

/**
 * A broker's rules for publishing, as plainly as possible: credit, sequences, epochs, duplicates. `dedup: false`
 * breaks it, to see that the tests notice.
 */
export class ModelBroker {
  readonly partitions: ModelPartition[];
  readonly topic: string;
  #fault: () => Fault;
  readonly #dedup: boolean;
  readonly #credit: Map<MemorySession, CreditMemory> = new Map();
  readonly #acks: Map<MemorySession, AckRange[]> = new Map();
  readonly firstCredit: number;
  violations: string[] = [];
  /** Values that a crash took away, acknowledged or not. */
  readonly lost: Set<string> = new Set();
  /** Whether producers were forgotten: then UNKNOWN_PRODUCER is a fair answer. */
  hasForgotten = false;

  constructor(
    topic: string,
    partitions: number,
    options: { fault?: () => Fault; dedup?: boolean; credit?: number } = {},
  ) {
    this.topic = topic;
    this.partitions = Array.from({ length: partitions }, () => new ModelPartition());
    this.#fault = options.fault ?? ((): Fault => "none");
    this.#dedup = options.dedup ?? true;
    this.firstCredit = options.credit ?? LIMITS.publishCreditInitialBytes;
  }

  setFault(fault: () => Fault): void {
    this.#fault = fault;
  }

  /** Handles the next frame of the session; false when there is none. */
  step(session: MemorySession): boolean {
    const next = session.read();
    if (next === undefined) return false;
    const { frame, bytes } = next;
    if (frame.name === "HELLO") this.#hello(session);
    else if (frame.name === "DESCRIBE_TOPIC") {
      const topic = topicInfo(this.topic, this.partitions.length);
      session.write("TOPIC", { requestId: frame.value.requestId, topic });
    } else if (frame.name === "PUBLISH") this.#publish(session, frame.value, bytes);
    else if (frame.name === "CREDIT_REQUEST") this.grant(session, frame.value.bytes);
    else if (frame.name === "CREDIT_RETURNED") {
      const credit = this.#creditOf(session);
      if (frame.value.publishCreditLimit > credit.limit || frame.value.publishCreditLimit < credit.used) {
        this.violations.push("CREDIT_RETURNED states a limit above the grant or below what was sent");
      }
      credit.limit = frame.value.publishCreditLimit;
      credit.revoked = undefined;
      if (credit.wanted > 0) this.grant(session, credit.wanted);
      credit.wanted = 0;
    } else if (frame.name === "PING") session.write("PONG", frame.value);
    return true;
  }

  /** Allows so many bytes more than were sent. */
  grant(session: MemorySession, bytes: number): void {
    const credit = this.#creditOf(session);
    if (credit.revoked !== undefined) {
      credit.wanted = bytes;
      return;
    }
    credit.limit = Math.max(credit.limit, credit.used + bytes);
    session.write("CREDIT", { publishCreditLimit: credit.limit });
  }

  /** Asks for all credit that is not used. The limit itself falls when the client has answered. */
  revoke(session: MemorySession): void {
    const credit = this.#creditOf(session);
    if (credit.revoked !== undefined) return;
    credit.revoked = credit.used;
    session.write("CREDIT_REVOKE", { publishCreditLimit: credit.used });
  }

  /** Sends the acknowledgements that are due, consecutive ones as one range. */
  flushAcks(session: MemorySession): void {
    const ranges = this.#acks.get(session) ?? [];
    if (ranges.length === 0) return;
    this.#acks.delete(session);
    const merged: AckRange[] = [];
    for (const range of ranges) {
      const last = merged.at(-1);
      if (
        last !== undefined &&
        last.partition === range.partition &&
        last.producerId === range.producerId &&
        last.firstSequence + last.count === range.firstSequence &&
        last.baseOffset + last.count === range.baseOffset
      ) {
        merged[merged.length - 1] = { ...last, count: last.count + range.count };
      } else merged.push(range);
    }
    const { limit, revoked } = this.#creditOf(session);
    const publishCreditLimit = revoked ?? limit;
    session.write("ACK", { publishCreditLimit, ranges: merged });
  }

  /** Forgets all producers of a partition, as after seven idle days. */
  forgetProducers(partition: number): void {
    this.hasForgotten = true;
    (this.partitions[partition] as ModelPartition).producers.clear();
  }

  /** The shard dies and loses what it stored last, acknowledged or not, as a topic of durability `memory` may. */
  crash(session: MemorySession, number: number, batches: number): void {
    const partition = this.partitions[number] as ModelPartition;
    for (const [offset, undo] of [...partition.undo].reverse().slice(0, batches)) {
      undo();
      partition.undo.delete(offset);
      while ((partition.log.at(-1)?.offset ?? -1) >= offset) {
        this.lost.add((partition.log.pop() as LoggedRecord).value);
      }
    }
    partition.logEpoch += 1;
    this.#restartShard(session, number);
  }

  #hello(session: MemorySession): void {
    const publishCredit = this.#creditOf(session).limit;
    session.write("WELCOME", {
      version: 1,
      features: [],
      limits: { ...LIMITS },
      sessionId: 1,
      serverTimeMs: 1,
      serverName: "model",
      publishCredit,
      extensions: {},
    });
  }

  #creditOf(session: MemorySession): CreditMemory {
    let credit = this.#credit.get(session);
    if (credit === undefined) {
      credit = { limit: this.firstCredit, used: 0, revoked: undefined, wanted: 0 };
      this.#credit.set(session, credit);
    }
    return credit;
  }

  #publish(session: MemorySession, publish: Publish, bytes: number): void {
    const credit = this.#creditOf(session);
    credit.used += bytes;
    if (credit.used > credit.limit)
      this.violations.push(`credit exceeded: ${credit.used} of ${credit.limit}`);
    const values = valuesOf(publish.batch);
    const count = values.length;
    const fault = this.#fault();
    if (fault === "SHARD_RESTARTED" || fault === "STORED_THEN_RESTARTED") {
      if (fault === "STORED_THEN_RESTARTED" && !values.some((value) => value.includes(BAD)))
        this.#store(publish, count);
      this.#restartShard(session, publish.partition);
      return;
    }
    let error: number | MillraceError;
    if (fault !== "none") error = new MillraceError(fault, "as the test wants it");
    else if (values.some((value) => value.includes(BAD)))
      error = new MillraceError("INVALID_BATCH", "a bad record");
    else error = this.#store(publish, count);
    if (typeof error === "number") {
      const { topicId, partition, producerId, baseSequence } = publish;
      const { logEpoch } = this.partitions[partition] as ModelPartition;
      const range = { topicId, partition, producerId, count, logEpoch, durability: 3 };
      const acks = this.#acks.get(session) ?? [];
      acks.push({ ...range, firstSequence: baseSequence, baseOffset: error });
      this.#acks.set(session, acks);
      return;
    }
    this.flushAcks(session);
    const { topicId, partition, producerId, baseSequence } = publish;
    const details = { topicId, partition, producerId, firstSequence: baseSequence, count };
    session.write("ERROR", { ...errorFrameOf(error), details });
  }

  /** Everything of the partition that has no answer fails at once, stored or not. */
  #restartShard(session: MemorySession, partition: number): void {
    const acks = this.#acks.get(session) ?? [];
    this.#acks.set(
      session,
      acks.filter((range) => range.partition !== partition),
    );
    this.flushAcks(session);
    const error = new MillraceError("SHARD_RESTARTED", "as the test wants it");
    session.write("ERROR", { ...errorFrameOf(error), details: { topicId: 7, partition } });
  }

  /** The offset of the batch, or why it is refused. */
  #store(publish: Publish, count: number): number | MillraceError {
    const { partition: number, producerId, producerEpoch, baseSequence } = publish;
    const partition = this.partitions[number] as ModelPartition;
    let producer = partition.producers.get(producerId);
    const before = producer === undefined ? undefined : { ...producer, stored: new Map(producer.stored) };
    if (producer === undefined) {
      if (baseSequence !== 0) return new MillraceError("UNKNOWN_PRODUCER", "never heard of");
      producer = { epoch: producerEpoch, next: 0, stored: new Map() };
    }
    if (producerEpoch < producer.epoch) return new MillraceError("PRODUCER_FENCED", "an old epoch");
    if (producerEpoch > producer.epoch) {
      if (baseSequence !== 0) return new MillraceError("OUT_OF_SEQUENCE", "a new epoch begins at 0");
      producer.epoch = producerEpoch;
      producer.next = 0;
      producer.stored.clear();
    }
    if (baseSequence < producer.next && this.#dedup) {
      const stored = producer.stored.get(baseSequence);
      if (stored?.count !== count)
        this.violations.push(`sequence ${baseSequence} was used for another batch`);
      return stored?.offset ?? 0;
    }
    if (baseSequence > producer.next) return new MillraceError("OUT_OF_SEQUENCE", "one is missing");
    const offset = partition.nextOffset;
    for (const value of valuesOf(publish.batch))
      partition.log.push({ offset: partition.nextOffset++, value });
    producer.next = baseSequence + count;
    producer.stored.set(baseSequence, { count, offset });
    partition.producers.set(producerId, producer);
    partition.undo.set(offset, () => {
      if (before === undefined) {
        this.hasForgotten = true;
        partition.producers.delete(producerId);
      } else partition.producers.set(producerId, before);
    });
    return offset;
  }
}
