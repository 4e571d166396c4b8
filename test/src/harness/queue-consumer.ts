import {
  BatchReader,
  ERROR_CODES,
  type FrameTypeName,
  type FrameValues,
  type LeasedRow,
  SETTLE_ACTION,
} from "@millrace/protocol";
import type { Test } from "tap";
import { monotonicMs } from "./clock.ts";
import type { QueueDelivery, QueueHistory, Settling } from "./queue-history.ts";
import { RawClient, type ReceivedFrame } from "./raw-client.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { pauseMs } from "./waiting.ts";

/** Of the subscription; what is not renewed ends after it. The shortest that a broker takes. */
export const LEASE_MS = 1_000;
export const DELIVERIES_MAX = 6;

/** What a consumer asks for when it extends a lease. */
const EXTENDED_MS = 2 * LEASE_MS;

/** A row of SETTLE that is under way. */
interface Asked {
  readonly run: readonly QueueDelivery[];
  readonly isExtend: boolean;
  readonly ms: number;
}

export interface QueueConsumerOptions {
  readonly name: string;
  /** Where the broker is now. */
  readonly url: () => string;
  readonly topic: string;
  readonly subscription: string;
  readonly mode: "queue" | "keyed";
  readonly slots: number;
  readonly random: SeededRandom;
  readonly history: QueueHistory;
  /** Messages that no handler can work on. */
  readonly isPoison: (value: string) => boolean;
}

const ACTIONS: Readonly<Record<Settling, number>> = {
  ack: SETTLE_ACTION.ACK,
  nack: SETTLE_ACTION.NACK,
  release: SETTLE_ACTION.RELEASE,
  dead: SETTLE_ACTION.DEAD_LETTER,
};
const LEASE_EXPIRED = ERROR_CODES.LEASE_EXPIRED.code;

/** The subscription as each of its consumers asks for it. */
export function subscriptionConfig(mode: "queue" | "keyed"): Record<string, unknown> {
  const from = ["earliest"];
  return {
    mode,
    from,
    leaseMs: LEASE_MS,
    maxDeliveries: DELIVERIES_MAX,
    backoffMinMs: 10,
    backoffMaxMs: 100,
  };
}

/**
 * One that takes part in a subscription over raw frames, session after session: it acks, nacks, releases, dead-letters, asks for
 * more time, comes too late, leaves and dies as its random numbers say, and writes everything down.
 */
export class QueueConsumer {
  readonly #t: Test;
  readonly #options: QueueConsumerOptions;
  readonly #running: Promise<void>;
  #session: Session | undefined;
  #isTame = false;
  #isStopped = false;

  constructor(t: Test, options: QueueConsumerOptions) {
    this.#t = t;
    this.#options = options;
    this.#running = this.#live();
  }

  /** From now on it stays, and acks what can be worked on. */
  tame(): void {
    this.#isTame = true;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#session?.die();
    await this.#running;
  }

  async #live(): Promise<void> {
    const { random } = this.#options;
    while (!this.#isStopped) {
      const session = new Session(this.#options, () => this.#isTame);
      this.#session = session;
      try {
        await session.begin(this.#t);
      } catch {
        // The broker is down, or went down.
      }
      for (let leftMs = random.between(100, 2_500); leftMs > 0 && session.isThere; leftMs -= 20) {
        await pauseMs(20);
        if (this.#isTame) leftMs = 100;
        else if (leftMs <= 20 && random.below(2) === 0) {
          session.leaveAndReturn();
          leftMs = random.between(100, 2_500);
        }
      }
      session.die();
      await pauseMs(20);
    }
  }
}

class Session {
  readonly #options: QueueConsumerOptions;
  readonly #isTame: () => boolean;
  readonly #reader: BatchReader = new BatchReader();
  readonly #inHand: Set<QueueDelivery> = new Set();
  readonly #asked: Map<number, Asked> = new Map();
  #client: RawClient | undefined;
  #consumerId = -1;
  #topicId = -1;
  #lastSettleId = 0;
  #isOver = false;

  constructor(options: QueueConsumerOptions, isTame: () => boolean) {
    this.#options = options;
    this.#isTame = isTame;
  }

  get isThere(): boolean {
    return !this.#isOver;
  }

  async begin(t: Test): Promise<void> {
    const client = await RawClient.connect(t, this.#options.url(), (received) => this.#onReceived(received));
    this.#client = client;
    void client.closed.then(() => this.die());
    this.#consume();
  }

  /** Leaves what it has in hand to the others, and takes part again. */
  leaveAndReturn(): void {
    if (this.#consumerId < 0 || this.#isOver) return;
    this.#send("STOP_CONSUMING", { requestId: this.#requestId(), consumerId: this.#consumerId });
    this.#consumerId = -1;
    this.#loseAll();
    this.#consume();
  }

  die(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#loseAll();
    this.#client?.terminate();
  }

  #consume(): void {
    const { topic, subscription, mode, slots } = this.#options;
    this.#send("CONSUME", {
      requestId: this.#requestId(),
      topic,
      subscription,
      mode,
      slots,
      creditLimit: 4_000_000,
      create: subscriptionConfig(mode),
      extensions: {},
    });
  }

  #requestId(): number {
    return this.#client?.nextRequestId() ?? 0;
  }

  #send<Name extends FrameTypeName>(name: Name, value: FrameValues[Name]): void {
    this.#client?.send(name, value);
  }

  #loseAll(): void {
    for (const delivery of this.#inHand) this.#options.history.lost(delivery);
    this.#inHand.clear();
  }

  #onReceived({ frame }: ReceivedFrame): void {
    if (this.#isOver) return;
    const { history, name } = this.#options;
    if (frame.name === "CONSUMING") {
      this.#consumerId = frame.value.consumerId;
      this.#topicId = frame.value.topicId;
    } else if (frame.name === "LEASED") {
      for (const row of frame.value.rows) this.#lease(row, frame.value.consumerId);
    } else if (frame.name === "SETTLED") {
      for (const { settleId, outcome } of frame.value.rows) this.#answered(settleId, outcome);
    } else if (frame.name === "ERROR") {
      if (!frame.value.retriable) history.problems.push(`${name}: ${JSON.stringify(frame.value)}`);
      this.die();
    }
  }

  #lease(row: LeasedRow, consumerId: number): void {
    const { history, name, topic, subscription, slots } = this.#options;
    const { partition, baseOffset, count, deliveryCount, leaseEpoch, leaseCounter, batch, topicId } = row;
    this.#reader.reset(batch, 0, batch.length);
    if (this.#reader.count !== count)
      history.problems.push(`${name}: a lease of ${count} has ${this.#reader.count}`);
    const deliveries: QueueDelivery[] = [];
    for (let i = 0; i < count; i += 1) {
      const value = Buffer.from(this.#reader.valueAt(i)).toString();
      const isRedriven = topicId !== this.#topicId;
      const what = {
        consumer: name,
        topic,
        subscription,
        partition,
        deliveryCount,
        leaseEpoch,
        leaseCounter,
      };
      deliveries.push(history.delivered({ ...what, offset: baseOffset + i, value, isRedriven }, LEASE_MS));
    }
    if (consumerId !== this.#consumerId) {
      // It crossed the word that the consumer leaves.
      for (const delivery of deliveries) history.lost(delivery);
      return;
    }
    for (const delivery of deliveries) this.#inHand.add(delivery);
    // Shards with lives of their own take the leases along that they forget, and the slots that those took.
    if (history.life >= 0 && this.#inHand.size > slots)
      history.problems.push(`${name}: ${this.#inHand.size} messages in ${slots} slots`);
    this.#workOn(deliveries);
  }

  /** Cuts the lease into runs, each with a fate of its own. */
  #workOn(deliveries: readonly QueueDelivery[]): void {
    const { random, isPoison } = this.#options;
    for (let at = 0; at < deliveries.length; ) {
      let end = Math.min(deliveries.length, at + random.between(1, 32));
      const poison = deliveries.findIndex(({ value }, i) => i >= at && isPoison(value));
      if (poison === at) end = at + 1;
      else if (poison > at) end = Math.min(end, poison);
      const run = deliveries.slice(at, end);
      if (poison === at) this.#settleLater(run, "nack", random.below(20));
      else if (this.#isTame()) this.#settleLater(run, "ack", 0);
      else this.#decide(run);
      at = end;
    }
  }

  #decide(run: readonly QueueDelivery[]): void {
    const { random } = this.#options;
    const fate = random.below(100);
    if (fate < 80) this.#settleLater(run, "ack", random.below(20));
    else if (fate < 88) this.#settleLater(run, "nack", random.below(20));
    else if (fate < 93) this.#settleLater(run, "release", random.below(20));
    else if (fate < 94) this.#settleLater(run, "dead", random.below(20));
    else if (fate < 97) {
      this.#settleRun(run, SETTLE_ACTION.EXTEND, EXTENDED_MS);
      this.#settleLater(run, "ack", LEASE_MS + 200);
    } else this.#settleLater(run, "ack", LEASE_MS + random.below(600));
  }

  #settleLater(run: readonly QueueDelivery[], settling: Settling, ms: number): void {
    const settle = (): void => {
      const held = run.filter((delivery) => this.#inHand.has(delivery));
      if (this.#isOver || held.length === 0) return;
      const { history, random } = this.#options;
      for (const delivery of held) {
        history.settles(delivery, settling);
        this.#inHand.delete(delivery);
      }
      let argument: number | string | undefined;
      if (settling === "nack" && random.below(2) === 0) argument = random.below(200);
      else if (settling === "dead") argument = "no use";
      this.#settleRun(held, ACTIONS[settling], argument);
    };
    if (ms === 0) setImmediate(settle);
    else setTimeout(settle, ms);
  }

  #settleRun(run: readonly QueueDelivery[], action: number, argument: number | string | undefined): void {
    const first = run[0] as QueueDelivery;
    this.#lastSettleId += 1;
    const settleId = this.#lastSettleId;
    this.#asked.set(settleId, { run, isExtend: action === SETTLE_ACTION.EXTEND, ms: monotonicMs() });
    const { partition, leaseEpoch = 0, leaseCounter = 0, offset } = first;
    const token = { partition, leaseEpoch, leaseCounter };
    const rows = [{ settleId, action, ...token, firstOffset: offset, count: run.length, argument }];
    this.#send("SETTLE", { consumerId: this.#consumerId, rows });
  }

  #answered(settleId: number, outcome: number): void {
    const { history, name } = this.#options;
    const asked = this.#asked.get(settleId);
    this.#asked.delete(settleId);
    if (asked === undefined) {
      history.problems.push(
        `${name}: an answer to ${settleId}, which was never asked or is answered already`,
      );
      return;
    }
    // It may have been done or not.
    if (outcome === ERROR_CODES.SHARD_RESTARTED.code) return;
    if (outcome !== 0 && outcome !== LEASE_EXPIRED) history.problems.push(`${name}: outcome ${outcome}`);
    for (const delivery of asked.run) {
      if (!asked.isExtend) history.answered(delivery, outcome);
      else if (outcome === 0) delivery.leaseEndMs = asked.ms + EXTENDED_MS;
    }
  }
}
