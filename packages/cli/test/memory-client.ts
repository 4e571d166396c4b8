import type {
  Client,
  OutgoingRecord,
  Producer,
  PublishResult,
  ReceivedBatch,
  ReceivedRecord,
  SubscribeOptions,
  Subscription,
  Topic,
  TopicChanges,
  TopicConfig,
  TopicDescription,
  Truncation,
} from "@millrace/client";

/** Topics of one partition in memory, behind the client's interface: as much of it as the commands use. */
export class MemoryBroker {
  readonly topics: Map<string, { topic: Topic; records: OutgoingRecord[] }> = new Map();
  /** Options of the subscriptions that were made. */
  readonly subscriptions: SubscribeOptions[] = [];
  /** What was to be truncated. */
  readonly truncations: Truncation[] = [];
  /** Publishing a record with this value is refused. */
  refusedValue: unknown;
  clientsClosed = 0;

  create(name: string, config: TopicConfig = {}): Topic {
    if (this.topics.has(name)) throw failure("TOPIC_EXISTS", `topic ${name} exists`);
    const topic: Topic = {
      name,
      topicId: this.topics.size + 1,
      partitions: config.partitions ?? 1,
      retentionMs: config.retentionMs === undefined ? 604_800_000 : config.retentionMs,
      retentionBytes: config.retentionBytes ?? null,
      durability: config.durability ?? "fsynced",
      createdMs: 0,
      catalogPosition: 1,
    };
    this.topics.set(name, { topic, records: [] });
    return topic;
  }

  find(name: string): { topic: Topic; records: OutgoingRecord[] } {
    const found = this.topics.get(name);
    if (found === undefined) throw failure("UNKNOWN_TOPIC", `there is no topic ${name}`);
    return found;
  }

  alter(name: string, changes: TopicChanges): Topic {
    const { topic, records } = this.find(name);
    const stated = Object.entries(changes).filter(([, value]) => value !== undefined);
    const altered = { ...topic, ...(Object.fromEntries(stated) as Partial<Topic>) };
    this.topics.set(name, { topic: altered, records });
    return altered;
  }

  describe(name: string): TopicDescription {
    const { topic, records } = this.find(name);
    const bounds = { logStartOffset: 0, highWatermark: records.length, logEpoch: 0, retainedBytes: 0 };
    return { ...topic, partitionInfo: [{ partition: 0, shard: 0, ...bounds }] };
  }

  publish(name: string, record: OutgoingRecord): PublishResult {
    const { topic, records } = this.find(name);
    if (this.refusedValue !== undefined && record.value === this.refusedValue) {
      throw failure("RECORD_TOO_LARGE", "refused by the test");
    }
    records.push(record);
    return {
      topic: name,
      topicId: topic.topicId,
      partition: record.partition ?? 0,
      offset: records.length - 1,
      logEpoch: 0,
      durability: topic.durability,
    };
  }

  client(url: string): Client {
    const client: Omit<Client, "subscriptions" | "deadLetters" | "consume" | "request" | "respond"> = {
      url,
      serverName: "millrace/test",
      state: "connected",
      topics: {
        create: async (name, config) => this.create(name, config),
        list: async () => [...this.topics.values()].map(({ topic }) => topic),
        describe: async (name) => this.describe(name),
        alter: async (name, changes) => this.alter(name, changes),
        truncate: async (name, truncation) => {
          const { highWatermark = 0 } = this.describe(name).partitionInfo[0] ?? {};
          this.truncations.push(truncation);
          const { before } = truncation;
          const asked = typeof before === "object" && "offset" in before ? before.offset : highWatermark;
          const logStartOffset = Math.min(asked, highWatermark);
          return (truncation.partitions ?? [0]).map((partition) => ({
            partition,
            logStartOffset,
            highWatermark,
          }));
        },
        delete: async (name) => {
          this.find(name);
          this.topics.delete(name);
        },
      },
      producer: (topic) => this.#producer(topic),
      subscribe: (topic, options = {}) => this.#subscribe(topic, options),
      on: () => () => {},
      close: async () => {
        this.clientsClosed++;
      },
    };
    return client as Client;
  }

  #producer(topic: string): Producer {
    let failed: unknown;
    return {
      topic,
      bufferedBytes: 0,
      hasRoom: true,
      ready: async () => void this.find(topic),
      send: async (record) => this.publish(topic, record),
      append: async (record) => {
        try {
          const { offset, ...rest } = this.publish(topic, record);
          return { ...rest, baseOffset: offset, count: 1 };
        } catch (error) {
          failed ??= error;
          throw error;
        }
      },
      room: async () => {},
      flush: async () => {
        if (failed !== undefined) throw failed;
      },
      close: async () => {},
    };
  }

  #subscribe(topic: string, options: SubscribeOptions): Subscription {
    this.subscriptions.push(options);
    let closed = false;
    let wake = (): void => {};
    const batches = async function* (broker: MemoryBroker): AsyncGenerator<ReceivedBatch, undefined> {
      const { records } = broker.find(topic);
      let next = options.from === "latest" ? records.length : 0;
      while (!closed) {
        const batch = records.slice(next, next + 100);
        if (batch.length > 0) yield receivedBatch(topic, next, batch);
        else if (options.untilEnd === true) return undefined;
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        next += batch.length;
      }
      return undefined;
    };
    return {
      topic,
      topicId: 1,
      ready: async () => {},
      batches: () => batches(this) as AsyncIterableIterator<ReceivedBatch>,
      positions: () => [],
      close: async () => {
        closed = true;
        wake();
      },
      [Symbol.asyncIterator](): never {
        throw new Error("the commands read batches");
      },
    };
  }
}

function receivedBatch(topic: string, baseOffset: number, records: readonly OutgoingRecord[]): ReceivedBatch {
  const recordAt = (index: number): ReceivedRecord => ({
    topic,
    partition: 0,
    offset: baseOffset + index,
    timestamp: 1_700_000_000_000,
    key: records[index]?.key,
    headers: records[index]?.headers,
    value: records[index]?.value,
  });
  return {
    topic,
    partition: 0,
    baseOffset,
    count: records.length,
    timestamp: 1_700_000_000_000,
    valueAt: () => new Uint8Array(0),
    recordAt,
    *[Symbol.iterator]() {
      for (let index = 0; index < records.length; index++) yield recordAt(index);
    },
  };
}

export function failure(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
