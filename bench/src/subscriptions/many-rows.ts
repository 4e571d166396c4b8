import {
  type CommandedChild,
  cpuBetween,
  residentBytes,
  type Spread,
  snapshotCpu,
  spreadOf,
} from "@millrace/load/internal";
import { type BenchRow, type RowOutcome, VALUE_BYTES } from "../harness/bench-row.ts";
import { flushFileSystem } from "../harness/file-system.ts";
import { formatSpread } from "../harness/terminal.ts";
import { type LimitContext, type RowBroker, withBroker } from "../limits/limit-context.ts";
import type { ManyConsumersCommands } from "./generators/many-consumers.ts";

const MANY = 10_000;
const FEW = 10;
/** 64 records of 100 bytes: two leases. */
const BATCH_BYTES = 6_960;
/** Batches of a burst to the few, so that few and many dispatch as many messages. */
const FEW_BATCHES = MANY / FEW;
const TARGET = 1.2;
const MIB = 1024 * 1024;

export const manyRows: readonly BenchRow<LimitContext>[] = [
  {
    name: "many-subscriptions",
    description: "broker's CPU for a message dispatched to one of 10,000 queues of one topic, over one of 10",
    target: TARGET,
    sense: "at-most",
    run: (context) =>
      withBroker(context, "many-subscriptions", (broker) => runSubscriptions(context, broker)),
  },
  {
    name: "many-topics",
    description: "10,000 topics, which is as many as there can be, with one queue each",
    target: null,
    sense: "at-most",
    run: (context) => withBroker(context, "many-topics", (broker) => runTopics(context, broker)),
  },
];

/** Costs of the bursts to one set of consumers. */
interface Bursts {
  readonly microsecondsPerMessage: number[];
  readonly messagesPerSecond: number[];
}

class Side {
  readonly bursts: Bursts = { microsecondsPerMessage: [], messagesPerSecond: [] };
  readonly consumers: CommandedChild<ManyConsumersCommands>;
  readonly consumersMs: number;
  readonly addedBytes: number;
  readonly #broker: RowBroker;

  private constructor(
    broker: RowBroker,
    consumers: CommandedChild<ManyConsumersCommands>,
    consumersMs: number,
    addedBytes: number,
  ) {
    this.#broker = broker;
    this.consumers = consumers;
    this.consumersMs = consumersMs;
    this.addedBytes = addedBytes;
  }

  static async open(
    context: LimitContext,
    broker: RowBroker,
    topics: readonly string[],
    subscriptionsPerTopic: number,
  ): Promise<Side> {
    const module = new URL("./generators/many-consumers.js", import.meta.url);
    const consumers = await context.children.fork<ManyConsumersCommands>(module);
    const before = residentBytes(broker.process.pid)?.now ?? 0;
    const spec = {
      url: broker.process.url,
      topics,
      durability: "fsynced",
      valueBytes: VALUE_BYTES,
      batchBytes: BATCH_BYTES,
      windowRecords: 0,
    };
    const { consumersMs } = await consumers.call("open", { spec, subscriptionsPerTopic });
    const after = residentBytes(broker.process.pid)?.now ?? 0;
    return new Side(broker, consumers, consumersMs, after - before);
  }

  async burst(batches: number, counts: boolean): Promise<void> {
    const measured = [this.#broker.process.measured()];
    const before = snapshotCpu(measured);
    const { messages, ms } = await this.consumers.call("burst", { batches });
    const seconds = cpuBetween(before, snapshotCpu(measured)).reduce((sum, usage) => sum + usage.seconds, 0);
    if (!counts) return;
    this.bursts.microsecondsPerMessage.push((seconds * 1e6) / messages);
    this.bursts.messagesPerSecond.push((messages * 1000) / ms);
  }
}

async function runSubscriptions(context: LimitContext, broker: RowBroker): Promise<RowOutcome> {
  context.progress.say(`${MANY} subscriptions of one topic`);
  const few = await Side.open(context, broker, ["few"], FEW);
  const many = await Side.open(context, broker, ["many"], MANY);
  return compareSides(context, few, many);
}

async function runTopics(context: LimitContext, broker: RowBroker): Promise<RowOutcome> {
  const { plan, progress, children } = context;
  progress.say(`${MANY} topics`);
  const topics = Array.from({ length: MANY }, (_, i) => `many-${i}`);
  const many = await Side.open(context, broker, topics, 1);
  try {
    for (let round = -1; round < plan.rounds; round++) {
      progress.say(round < 0 ? "warm-up" : `sample ${round + 1} of ${plan.rounds}`);
      await flushFileSystem(context);
      await many.burst(MANY, round >= 0);
    }
    return {
      ratio: null,
      counts: true,
      raw: { unit: "us", many: many.bursts, addedBytes: many.addedBytes, consumersMs: many.consumersMs },
      details: [
        costText(spreadOf(many.bursts.microsecondsPerMessage), many),
        madeText("topics with a queue", many),
      ],
    };
  } finally {
    await children.end(many.consumers.pid);
  }
}

async function compareSides(context: LimitContext, few: Side, many: Side): Promise<RowOutcome> {
  const { plan, progress, children } = context;
  try {
    for (let round = -1; round < plan.rounds; round++) {
      progress.say(round < 0 ? "warm-up" : `sample ${round + 1} of ${plan.rounds}`);
      for (const side of round % 2 === 0 ? [few, many] : [many, few]) {
        await flushFileSystem(context);
        await side.burst(side === few ? FEW_BATCHES : 1, round >= 0);
      }
    }
    const fewCost = spreadOf(few.bursts.microsecondsPerMessage);
    const manyCost = spreadOf(many.bursts.microsecondsPerMessage);
    return {
      ratio: manyCost.median / fewCost.median,
      counts: true,
      raw: { unit: "us", few: few.bursts, many: many.bursts, addedBytes: many.addedBytes },
      details: [
        `${FEW} subscriptions: ${costText(fewCost, few)}`,
        `${MANY} subscriptions: ${costText(manyCost, many)}`,
        madeText("subscriptions", many),
      ],
    };
  } finally {
    for (const side of [few, many]) await children.end(side.consumers.pid);
  }
}

function madeText(what: string, { consumersMs, addedBytes }: Side): string {
  return (
    `${MANY} ${what} and their consumers: made in ${(consumersMs / 1000).toFixed(1)} s, ` +
    `${(addedBytes / MIB).toFixed(0)} MiB more of resident memory`
  );
}

function costText(cost: Spread, { bursts }: Side): string {
  const rate = formatSpread(spreadOf(bursts.messagesPerSecond), 1e6, "M messages/s");
  return `${formatSpread(cost, 1, "us of the broker's CPU a message")}, ${rate}`;
}
