import type { Topic } from "@millrace/broker/internal";
import { type Frame, SETTLE_ACTION } from "@millrace/protocol";
import { FakeNode } from "./fake-node.ts";
import { type InMemoryClient, InMemoryGateway } from "./in-memory.ts";
import { type ModelConsumer, QueueModel } from "./queue-model.ts";

export interface Bench {
  readonly bench: InMemoryGateway;
  readonly node: FakeNode;
  readonly topic: Topic;
}

export function setUp(shards = 4, partitions = 16): Bench {
  const node = new FakeNode({ shards });
  const bench = new InMemoryGateway({ node });
  return { bench, node, topic: node.addTopic("orders", { partitions }) };
}

export function connect({ bench, node }: Bench): QueueModel {
  return new QueueModel(
    bench.connect(),
    (topicId, partition) => node.topicById(topicId)?.shards[partition] as number,
  );
}

/** Records for the subscription in one partition, from `offset` on. */
export function put({ node, topic }: Bench, partition: number, offset: number, ...values: string[]): void {
  const [subscription] = node.subscriptions(topic.topicId);
  const { subscriptionId } = subscription as { subscriptionId: number };
  const shardId = topic.shards[partition] as number;
  node.queues.put(shardId, subscriptionId, { topicId: topic.topicId, partition, offset }, ...values);
}

export async function consumer(
  it: Bench,
  model: QueueModel,
  slots: number,
  creditLimit?: number,
): Promise<ModelConsumer> {
  const made = model.consume("orders", "workers", slots, creditLimit);
  await it.bench.settle();
  return made;
}

export function ackAll(model: QueueModel, of: ModelConsumer): number {
  let records = 0;
  for (const lease of [...of.leases]) {
    records += lease.open.size;
    model.settle(of, lease, SETTLE_ACTION.ACK);
  }
  return records;
}

/** Frames of a client that no model looks at. */
export function plain({ bench }: Bench): InMemoryClient {
  const client = bench.connect();
  client.socket.take();
  return client;
}

export type ConsumeValue = Extract<Frame, { name: "CONSUME" }>["value"];

export function consumeFrame(requestId: number, changes: Partial<ConsumeValue>): Frame {
  return {
    name: "CONSUME",
    value: {
      requestId,
      topic: "orders",
      subscription: "workers",
      slots: 1,
      creditLimit: 1_000_000,
      create: { mode: "queue", from: ["earliest"] },
      extensions: {},
      ...changes,
    },
  };
}
