import { errorFrameOf, type FrameValues, LIMITS, MillraceError, SETTLE_ACTION } from "@millrace/protocol";
import { entryOf } from "./fake-broker.ts";
import type { MemorySession } from "./memory-transport.ts";
import { subscriptionInfo } from "./scripted-consumer.ts";

type SettleRow = FrameValues["SETTLE"]["rows"][number];

const { ACK, NACK, RELEASE, DEAD_LETTER, EXTEND } = SETTLE_ACTION;
const LEASE_EXPIRED = 62;

interface ModelRecord {
  readonly partition: number;
  readonly offset: number;
  deliveries: number;
  /** Finished for good, by an ack or as a dead letter. */
  end: "acked" | "dead" | undefined;
  lease: ModelLease | undefined;
}

interface ModelLease {
  readonly counter: number;
  readonly records: readonly ModelRecord[];
  /** Settled under this lease, whatever came of it. */
  readonly settled: Set<ModelRecord>;
  isOver: boolean;
}

interface ModelConsumer {
  readonly id: number;
  slots: number;
  used: number;
  readonly leases: Map<number, ModelLease>;
  answers: { settleId: number; outcome: number; messages: number }[];
}

/**
 * A broker's rules for one queue subscription, as plainly as possible: leases, tokens, slots. `forgets` breaks it: answers to
 * settlements are left out now and then, to see that the tests notice.
 */
export class ModelQueue {
  readonly records: ModelRecord[];
  readonly violations: string[] = [];
  readonly #random: () => number;
  readonly #forgets: boolean;
  #session: MemorySession | undefined;
  #consumer: ModelConsumer | undefined;
  #lastId = 0;
  #lastCounter = 0;

  constructor(partitions: number, each: number, random: () => number, forgets: boolean) {
    this.#random = random;
    this.#forgets = forgets;
    this.records = Array.from({ length: partitions * each }, (_, i) => ({
      partition: i % partitions,
      offset: Math.floor(i / partitions),
      deliveries: 0,
      end: undefined,
      lease: undefined,
    }));
  }

  get consumerCount(): number {
    return this.#consumer === undefined ? 0 : 1;
  }

  find(partition: number, offset: number): ModelRecord {
    return this.records.find(
      (record) => record.partition === partition && record.offset === offset,
    ) as ModelRecord;
  }

  /** Handles the next frame of the session; false when there is none. */
  step(session: MemorySession): boolean {
    if (session !== this.#session) {
      this.#endConsumer();
      this.#session = session;
    }
    const next = session.read();
    if (next === undefined) return false;
    const { frame } = next;
    if (frame.name === "HELLO") this.#hello(session);
    else if (frame.name === "CONSUME") this.#consume(session, frame.value);
    else if (frame.name === "CONSUMER_CREDIT") {
      if (this.#consumer?.id === frame.value.consumerId) this.#consumer.slots = frame.value.slots;
    } else if (frame.name === "SETTLE") {
      for (const row of frame.value.rows) this.#settle(frame.value.consumerId, row);
    } else if (frame.name === "STOP_CONSUMING") {
      this.#endConsumer();
      session.write("CONSUMING_STOPPED", frame.value);
    }
    return true;
  }

  /** The connection is lost. */
  onCut(): void {
    this.#endConsumer();
  }

  /** Leases what there is, as far as the slots go. */
  dispatch(): void {
    const consumer = this.#consumer;
    if (consumer === undefined || this.#session === undefined) return;
    const rows: FrameValues["LEASED"]["rows"][number][] = [];
    while (consumer.used < consumer.slots) {
      const run = this.#nextRun(consumer.slots - consumer.used);
      const [first] = run;
      if (first === undefined) break;
      this.#lastCounter += 1;
      const lease = {
        counter: this.#lastCounter,
        records: run,
        settled: new Set<ModelRecord>(),
        isOver: false,
      };
      consumer.leases.set(lease.counter, lease);
      consumer.used += run.length;
      for (const record of run) {
        record.lease = lease;
        record.deliveries += 1;
      }
      const { partition, offset, deliveries } = first;
      const entry = entryOf(
        offset,
        run.map(({ offset: at }) => ({ value: `${partition}:${at}` })),
      );
      rows.push({
        topicId: 7,
        partition,
        ...entry,
        deliveryCount: deliveries,
        leaseEpoch: 1,
        leaseCounter: lease.counter,
      });
    }
    if (rows.length > 0) this.#session.write("LEASED", { consumerId: consumer.id, rows });
  }

  /** Ends a lease whose time is over; its slots stay taken. */
  expireOne(): void {
    const leases = [...(this.#consumer?.leases.values() ?? [])].filter(({ isOver }) => !isOver);
    const lease = leases[Math.floor(this.#random() * leases.length)];
    if (lease !== undefined) this.#endLease(lease);
  }

  /** Answers what was settled. */
  flush(): void {
    const consumer = this.#consumer;
    if (consumer === undefined || consumer.answers.length === 0) return;
    const answers = consumer.answers.filter(() => !(this.#forgets && this.#random() < 0.2));
    for (const { messages } of consumer.answers) consumer.used -= messages;
    consumer.answers = [];
    const rows = answers.map(({ settleId, outcome }) => ({ settleId, outcome }));
    this.#session?.write("SETTLED", { consumerId: consumer.id, rows });
  }

  /** The consumer is over, by an error that allows another one. */
  fail(): void {
    const consumer = this.#consumer;
    if (consumer === undefined) return;
    this.#endConsumer();
    const error = new MillraceError("SHARD_RESTARTED", "as the test wants it");
    this.#session?.write("ERROR", { ...errorFrameOf(error), details: { consumerId: consumer.id } });
  }

  #hello(session: MemorySession): void {
    session.write("WELCOME", {
      version: 1,
      features: [],
      limits: { ...LIMITS },
      sessionId: 1,
      serverTimeMs: 1,
      serverName: "model",
      publishCredit: 0,
      extensions: {},
    });
  }

  #consume(session: MemorySession, { requestId, slots }: FrameValues["CONSUME"]): void {
    if (this.#consumer !== undefined) this.violations.push("a second consumer");
    if (slots < 1) this.violations.push(`slots=${slots}`);
    this.#lastId += 1;
    this.#consumer = { id: this.#lastId, slots, used: 0, leases: new Map(), answers: [] };
    const subscription = subscriptionInfo({ leaseMs: 1_000 });
    session.write("CONSUMING", { requestId, consumerId: this.#lastId, topicId: 7, subscription });
  }

  #settle(consumerId: number, row: SettleRow): void {
    const consumer = this.#consumer;
    // Sent before the client knew that the consumer is over.
    if (consumer === undefined || consumer.id !== consumerId) return;
    const { settleId, action, firstOffset, count } = row;
    const lease = consumer.leases.get(row.leaseCounter);
    const records = lease?.records.filter(
      ({ partition, offset }) =>
        partition === row.partition && offset >= firstOffset && offset < firstOffset + count,
    );
    if (lease === undefined || records?.length !== count) {
      this.violations.push(`settled without a lease: ${row.partition}@${firstOffset} x ${count}`);
      return;
    }
    const messages = action === EXTEND ? 0 : count;
    const outcome = lease.isOver ? LEASE_EXPIRED : 0;
    if (action !== EXTEND) {
      for (const record of records) {
        if (lease.settled.has(record))
          this.violations.push(`settled twice: ${record.partition}@${record.offset}`);
        lease.settled.add(record);
        if (outcome === 0) this.#apply(record, action);
      }
    }
    consumer.answers.push({ settleId, outcome, messages });
  }

  #apply(record: ModelRecord, action: number): void {
    record.lease = undefined;
    if (action === ACK) record.end = "acked";
    else if (action === DEAD_LETTER) record.end = "dead";
    else if (action === RELEASE) record.deliveries -= 1;
    else if (action !== NACK) this.violations.push(`there is no action ${action}`);
  }

  #nextRun(max: number): ModelRecord[] {
    const isFree = (record: ModelRecord | undefined): record is ModelRecord =>
      record !== undefined && record.end === undefined && record.lease === undefined;
    const free = this.records.filter(isFree);
    const first = free[Math.floor(this.#random() * free.length)];
    if (first === undefined) return [];
    const run = [first];
    const longest = Math.min(max, 1 + Math.floor(this.#random() * 5));
    while (run.length < longest) {
      const next = this.find(first.partition, first.offset + run.length);
      if (!isFree(next) || next.deliveries !== first.deliveries) break;
      run.push(next);
    }
    return run;
  }

  #endLease(lease: ModelLease): void {
    lease.isOver = true;
    for (const record of lease.records) if (record.lease === lease) record.lease = undefined;
  }

  #endConsumer(): void {
    for (const lease of this.#consumer?.leases.values() ?? []) this.#endLease(lease);
    this.#consumer = undefined;
  }
}
