import type { FrameValues, OutgoingRecord, SubscriptionInfo } from "@millrace/protocol";
import type { ConsumeOptions, Consumer, HandlerOptions, Message, MessageHandler } from "../src/index.ts";
import { entryOf } from "./fake-broker.ts";
import { microtasks } from "./manual-clock.ts";
import { ScriptedClient } from "./scripted-client.ts";

export type Consume = FrameValues["CONSUME"];
export type Settle = FrameValues["SETTLE"];
export type SettleRow = Settle["rows"][number];

export const CONSUMER = 77;

export function subscriptionInfo(more: Partial<SubscriptionInfo> = {}): SubscriptionInfo {
  return {
    name: "s",
    topic: "t",
    topicId: 7,
    subscriptionId: 3,
    mode: "queue",
    leaseMs: 30_000,
    maxDeliveries: 5,
    backoffMinMs: 1_000,
    backoffMaxMs: 60_000,
    paused: false,
    createdMs: 1,
    deadLetterTopic: null,
    snapshots: [],
    ...more,
  };
}

/** Accepts a CONSUME. */
export async function consuming(
  script: ScriptedClient,
  { requestId, topic, mode = "queue" }: Consume,
  more: Partial<SubscriptionInfo> = {},
  consumerId: number = CONSUMER,
): Promise<void> {
  const info = subscriptionInfo({ topic, mode: mode as SubscriptionInfo["mode"], ...more });
  await script.reply("CONSUMING", { requestId, consumerId, topicId: info.topicId, subscription: info });
}

export interface LeaseRow {
  readonly partition?: number;
  readonly base: number;
  readonly values: readonly (string | OutgoingRecord)[];
  readonly deliveryCount?: number;
  readonly counter?: number;
  readonly topicId?: number;
}

/** Leases records to the consumer. */
export async function lease(
  script: ScriptedClient,
  rows: readonly LeaseRow[],
  consumerId: number = CONSUMER,
): Promise<void> {
  const leased = rows.map(
    ({ partition = 0, base, values, deliveryCount = 1, counter = base, topicId = 7 }) => {
      const entry = entryOf(
        base,
        values.map((value) => (typeof value === "string" ? { value } : value)),
      );
      return { topicId, partition, ...entry, deliveryCount, leaseEpoch: 1, leaseCounter: counter };
    },
  );
  await script.reply("LEASED", { consumerId, rows: leased });
}

/** Lets the turn end; the rows of the SETTLE that it brings. */
export async function settles(script: ScriptedClient): Promise<readonly SettleRow[]> {
  await microtasks();
  script.clock.advance(0);
  const { rows } = await script.expect("SETTLE");
  return rows;
}

/** The rows without their ids and tokens: `[action, partition, firstOffset, count]`, and the argument where there is one. */
export function plain(rows: readonly SettleRow[]): unknown[] {
  return rows.map(({ action, partition, firstOffset, count, argument }) =>
    argument === undefined
      ? [action, partition, firstOffset, count]
      : [action, partition, firstOffset, count, argument],
  );
}

export async function settled(
  script: ScriptedClient,
  rows: readonly SettleRow[],
  outcome = 0,
  consumerId: number = CONSUMER,
): Promise<void> {
  await script.reply("SETTLED", {
    consumerId,
    rows: rows.map(({ settleId }) => ({ settleId, outcome })),
  });
}

/** A handler whose calls the test ends when it likes. */
export class HeldHandler {
  readonly messages: Message[] = [];
  readonly #ends: { resolve: () => void; reject: (error: unknown) => void }[] = [];

  readonly handle: MessageHandler = (message) => {
    this.messages.push(message);
    return new Promise<void>((resolve, reject) => this.#ends.push({ resolve, reject }));
  };

  /** The call of that index returns. */
  async finish(index: number): Promise<void> {
    this.#ends[index]?.resolve();
    await microtasks();
  }

  async fail(index: number, error: unknown): Promise<void> {
    this.#ends[index]?.reject(error);
    await microtasks();
  }

  get values(): unknown[] {
    return this.messages.map(({ value }) => value);
  }
}

export interface Started {
  readonly script: ScriptedClient;
  readonly consumer: Consumer;
  readonly handler: HeldHandler;
  readonly errors: unknown[];
  readonly consume: Consume;
}

/** A consumer with a held handler, accepted by the broker. */
export async function startConsumer(
  options: ConsumeOptions,
  more: HandlerOptions = {},
  info: Partial<SubscriptionInfo> = {},
): Promise<Started> {
  const script = await ScriptedClient.connected();
  const handler = new HeldHandler();
  const consumer = script.client.consume("t", { subscription: "s", ...options }, handler.handle, more);
  const errors: unknown[] = [];
  consumer.on("error", ({ error }) => errors.push((error as { code?: string }).code ?? error));
  const consume = await script.expect("CONSUME");
  await consuming(script, consume, info);
  await consumer.ready();
  return { script, consumer, handler, errors, consume };
}
