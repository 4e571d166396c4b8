import fc from "fast-check";
import {
  BatchBuilder,
  crc32,
  type Frame,
  type FrameTypeName,
  type FrameValues,
  LIMITS,
  RESTORES_MAX,
} from "../src/index.ts";

const uint = (): fc.Arbitrary<number> =>
  fc.oneof(fc.nat(200), fc.nat(70_000), fc.integer({ min: 0, max: 0xffff_ffff }), fc.maxSafeNat());
const u32 = (): fc.Arbitrary<number> => fc.integer({ min: 0, max: 0xffff_ffff });
/** Decoders make plain objects, and deepStrictEqual compares prototypes. */
const record = <T extends object>(model: { [Key in keyof T]: fc.Arbitrary<T[Key]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>;
const text = (): fc.Arbitrary<string> => fc.string({ unit: "grapheme", maxLength: 40 });

/** Values that survive the wire as they are. */
export const plainValue: () => fc.Arbitrary<unknown> = () =>
  fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constant(null),
      fc.boolean(),
      fc.integer(),
      fc.maxSafeInteger(),
      fc.double(),
      text(),
      fc.uint8Array({ maxLength: 40 }),
      fc.array(tie("value"), { maxLength: 5 }),
      fc.dictionary(text(), tie("value"), { maxKeys: 5, noNullPrototype: true }),
    ),
  })).value;

const map = (): fc.Arbitrary<Record<string, unknown>> =>
  fc.dictionary(text(), plainValue(), { maxKeys: 4, noNullPrototype: true });

const batch: fc.Arbitrary<Uint8Array> = fc
  .array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 5 })
  .map((values) => {
    const builder = new BatchBuilder(10_000);
    for (const value of values) builder.appendValue(value);
    return builder.finish().slice(0, -5);
  });

const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined });

const topicInfo = record({
  name: text(),
  topicId: u32(),
  partitions: uint(),
  retentionMs: fc.option(uint()),
  retentionBytes: fc.option(uint()),
  durability: fc.constantFrom("memory" as const, "written" as const, "fsynced" as const),
  createdMs: uint(),
  catalogPosition: uint(),
  retention: optional(fc.constantFrom("time" as const, "acknowledged" as const)),
  overflow: optional(fc.constantFrom("refuse" as const, "dead-letter" as const)),
  deadLetterOf: optional(u32()),
  partitionInfo: optional(
    fc.array(
      record({
        partition: uint(),
        shard: uint(),
        logStartOffset: uint(),
        highWatermark: uint(),
        logEpoch: uint(),
        retainedBytes: uint(),
      }),
      { maxLength: 20 },
    ),
  ),
  owners: optional(fc.array(record({ shard: uint(), url: fc.webUrl() }), { maxLength: 20 })),
});

const restores = fc.array(fc.tuple(uint(), uint()), { minLength: 1, maxLength: RESTORES_MAX });

const subscribedStream = {
  partition: uint(),
  streamId: u32(),
  startOffset: uint(),
  logStartOffset: uint(),
  highWatermark: uint(),
  logEpoch: uint(),
};

const from = fc.oneof(
  record({ kind: fc.constantFrom("earliest" as const, "latest" as const) }),
  record({ kind: fc.constant("time" as const), timeMs: uint() }),
  record({ kind: fc.constant("offset" as const), offset: uint() }),
  record({
    kind: fc.constant("resume" as const),
    topicId: u32(),
    positions: fc.array(
      fc.oneof(
        record({ partition: uint(), offset: uint(), logEpoch: uint() }),
        record({ partition: uint(), offset: uint(), logEpoch: uint(), restores }),
      ),
      { maxLength: 20 },
    ),
  }),
);

const before = fc.oneof(
  record({ kind: fc.constant("latest" as const) }),
  record({ kind: fc.constant("time" as const), timeMs: uint() }),
  record({ kind: fc.constant("offset" as const), offset: uint() }),
);

const held = fc.array(record({ partition: uint(), assignmentEpoch: uint() }), { maxLength: 20 });

const assigned = {
  partition: uint(),
  assignmentEpoch: uint(),
  streamId: u32(),
  startOffset: uint(),
  logStartOffset: uint(),
  highWatermark: uint(),
  logEpoch: uint(),
};

const counts = { available: uint(), leased: uint(), waiting: uint() };

const subscriptionInfo = record({
  name: text(),
  topic: text(),
  topicId: u32(),
  subscriptionId: u32(),
  mode: fc.constantFrom("stream" as const, "queue" as const, "keyed" as const),
  leaseMs: uint(),
  maxDeliveries: uint(),
  backoffMinMs: uint(),
  backoffMaxMs: uint(),
  paused: fc.boolean(),
  createdMs: uint(),
  deadLetterTopic: fc.option(text()),
  snapshots: fc.array(text(), { maxLength: LIMITS.snapshotsMax }),
  state: optional(
    record({
      consumers: uint(),
      ...counts,
      redelivered: uint(),
      dead: uint(),
      lag: uint(),
      oldestAgeMs: fc.option(uint()),
      blockedByKey: fc.option(fc.oneof(text(), fc.uint8Array({ maxLength: 40 }))),
      partitions: fc.array(
        record({
          partition: uint(),
          offset: uint(),
          logStartOffset: uint(),
          highWatermark: uint(),
          ...counts,
          consumerName: fc.option(text()),
        }),
        { maxLength: 20 },
      ),
    }),
  ),
});

const subscriptionFrom = fc.oneof(
  record({ kind: fc.constantFrom("earliest" as const, "latest" as const) }),
  record({ kind: fc.constant("time" as const), timeMs: uint() }),
  record({ kind: fc.constant("offset" as const), offset: uint() }),
  record({ kind: fc.constant("snapshot" as const), name: text() }),
  record({
    kind: fc.constant("offsets" as const),
    offsets: fc.array(fc.tuple(uint(), uint()), { maxLength: 20 }),
  }),
);

const named = record({ requestId: u32(), topic: text(), name: text() });
const consumerRequest = record({ requestId: u32(), consumerId: u32() });
const credit = record({ publishCreditLimit: uint() });
const subscriptionRequest = record({ requestId: u32(), subscriptionId: u32() });
const topicRequest = record({ requestId: u32(), topic: text() });
const nonce = record({ nonce: uint() });

/** An arbitrary for the value of each frame. */
export const frameValues: { readonly [Name in FrameTypeName]: fc.Arbitrary<FrameValues[Name]> } = {
  HELLO: record({
    versionMin: uint(),
    versionMax: uint(),
    clientName: text(),
    features: fc.array(text(), { maxLength: 20 }),
    auth: plainValue(),
    extensions: map(),
  }),
  WELCOME: record({
    version: uint(),
    features: fc.array(text(), { maxLength: 20 }),
    limits: fc.dictionary(text(), uint(), { maxKeys: 20, noNullPrototype: true }),
    sessionId: uint(),
    serverTimeMs: uint(),
    serverName: text(),
    publishCredit: uint(),
    extensions: map(),
  }),
  ERROR: record({
    requestId: optional(u32()),
    code: uint(),
    name: text(),
    retriable: fc.boolean(),
    message: text(),
    details: map(),
  }),
  PING: nonce,
  PONG: nonce,
  GOAWAY: record({ code: uint(), name: text(), message: text() }),
  PUBLISH: record({
    topicId: u32(),
    partition: u32(),
    producerId: uint(),
    producerEpoch: u32(),
    baseSequence: uint(),
    batch,
  }).chain((frame) =>
    fc.constantFrom(undefined, crc32(frame.batch, 0, frame.batch.length)).map((checksum) => ({
      ...frame,
      checksum,
    })),
  ),
  ACK: record({
    publishCreditLimit: uint(),
    ranges: fc.array(
      record({
        topicId: u32(),
        partition: u32(),
        producerId: uint(),
        firstSequence: uint(),
        count: uint(),
        baseOffset: uint(),
        logEpoch: uint(),
        durability: uint(),
      }),
      { maxLength: 20 },
    ),
  }),
  CREDIT: credit,
  CREDIT_REQUEST: record({ bytes: uint() }),
  CREDIT_REVOKE: credit,
  CREDIT_RETURNED: credit,
  SUBSCRIBE: record({
    requestId: u32(),
    subscriptionId: u32(),
    topic: text(),
    partitions: optional(fc.array(uint(), { maxLength: 20 })),
    from,
    creditLimit: uint(),
    mode: fc.constantFrom("stream", "live", "queue"),
    extensions: map(),
  }),
  SUBSCRIBED: record({
    requestId: u32(),
    subscriptionId: u32(),
    topicId: u32(),
    streams: fc.array(fc.oneof(record(subscribedStream), record({ ...subscribedStream, restores })), {
      maxLength: 20,
    }),
  }),
  DELIVER: record({
    streamId: u32(),
    nextOffset: uint(),
    entries: fc.array(
      record({
        baseOffset: uint(),
        count: u32(),
        appendTimeMs: uint(),
        batch,
        checksum: optional(u32()),
      }),
      { maxLength: 5 },
    ),
  }),
  STREAM: record({ fromStreamId: u32(), toStreamId: u32(), subscriptionId: u32(), partition: u32() }),
  PROGRESS: record({ streamId: u32(), nextOffset: uint(), reason: text() }),
  FLOW: record({ subscriptionId: u32(), creditLimit: uint() }),
  UNSUBSCRIBE: subscriptionRequest,
  UNSUBSCRIBED: subscriptionRequest,
  CREATE_TOPIC: record({ requestId: u32(), name: text(), config: map() }),
  TOPIC: record({ requestId: u32(), topic: topicInfo }),
  DESCRIBE_TOPIC: topicRequest,
  DELETE_TOPIC: topicRequest,
  TOPIC_DELETED: record({ requestId: u32(), name: text(), catalogPosition: uint() }),
  LIST_TOPICS: record({ requestId: u32(), after: optional(text()) }),
  TOPICS: record({ requestId: u32(), topics: fc.array(topicInfo, { maxLength: 4 }), more: fc.boolean() }),
  ALTER_TOPIC: record({ requestId: u32(), topic: text(), config: map() }),
  TRUNCATE_TOPIC: record({
    requestId: u32(),
    topic: text(),
    partitions: optional(fc.array(uint(), { maxLength: 20 })),
    before,
  }),
  TRUNCATED: record({
    requestId: u32(),
    topicId: u32(),
    partitions: fc.array(record({ partition: uint(), logStartOffset: uint(), highWatermark: uint() }), {
      maxLength: 20,
    }),
  }),
  CONSUME: record({
    requestId: u32(),
    topic: text(),
    subscription: text(),
    mode: optional(text()),
    slots: uint(),
    creditLimit: uint(),
    create: optional(map()),
    extensions: map(),
  }),
  CONSUMING: record({ requestId: u32(), consumerId: u32(), topicId: u32(), subscription: subscriptionInfo }),
  ASSIGNED: record({
    consumerId: u32(),
    partitions: fc.array(fc.oneof(record(assigned), record({ ...assigned, restores })), { maxLength: 20 }),
  }),
  REVOKED: record({ consumerId: u32(), partitions: held, withinMs: uint() }),
  RELEASE: record({ consumerId: u32(), partitions: held }),
  COMMIT: record({
    requestId: u32(),
    consumerId: u32(),
    positions: fc.array(
      record({ partition: uint(), assignmentEpoch: uint(), offset: uint(), logEpoch: uint() }),
      { maxLength: 20 },
    ),
  }),
  COMMITTED: record({
    requestId: u32(),
    consumerId: u32(),
    outcomes: fc.array(record({ partition: uint(), offset: uint(), outcome: uint() }), { maxLength: 20 }),
  }),
  LEASED: record({
    consumerId: u32(),
    rows: fc.array(
      record({
        topicId: u32(),
        partition: u32(),
        baseOffset: uint(),
        count: u32(),
        appendTimeMs: uint(),
        deliveryCount: u32(),
        leaseEpoch: u32(),
        leaseCounter: uint(),
        batch,
        checksum: optional(u32()),
      }),
      { maxLength: 5 },
    ),
  }),
  SETTLE: record({
    consumerId: u32(),
    rows: fc.array(
      record({
        settleId: uint(),
        action: uint(),
        partition: uint(),
        leaseEpoch: uint(),
        leaseCounter: uint(),
        firstOffset: uint(),
        count: uint(),
        argument: optional(fc.oneof(uint(), text())),
      }),
      { maxLength: 20 },
    ),
  }),
  SETTLED: record({
    consumerId: u32(),
    rows: fc.array(record({ settleId: uint(), outcome: uint() }), { maxLength: 20 }),
  }),
  CONSUMER_CREDIT: record({ consumerId: u32(), slots: uint(), creditLimit: uint() }),
  STOP_CONSUMING: consumerRequest,
  CONSUMING_STOPPED: consumerRequest,
  CREATE_SUBSCRIPTION: record({ requestId: u32(), topic: text(), name: text(), config: map() }),
  SUBSCRIPTION: record({ requestId: u32(), subscription: subscriptionInfo }),
  DESCRIBE_SUBSCRIPTION: named,
  LIST_SUBSCRIPTIONS: record({
    requestId: u32(),
    topic: optional(text()),
    after: optional(fc.tuple(text(), text())),
  }),
  SUBSCRIPTIONS: record({ requestId: u32(), subscriptions: fc.array(subscriptionInfo, { maxLength: 4 }) }),
  ALTER_SUBSCRIPTION: record({ requestId: u32(), topic: text(), name: text(), changes: map() }),
  SEEK_SUBSCRIPTION: record({ requestId: u32(), topic: text(), name: text(), from: subscriptionFrom }),
  DELETE_SUBSCRIPTION: named,
  SUBSCRIPTION_DELETED: named,
  PEEK: record({
    requestId: u32(),
    topic: text(),
    name: text(),
    partition: uint(),
    fromOffset: uint(),
    limit: uint(),
  }),
  PEEKED: record({
    requestId: u32(),
    records: fc.array(
      record({
        topicId: u32(),
        partition: uint(),
        offset: uint(),
        state: uint(),
        deliveryCount: uint(),
        dueInMs: uint(),
      }),
      { maxLength: 20 },
    ),
  }),
  REDRIVE: record({
    requestId: u32(),
    topic: text(),
    rows: fc.array(record({ partition: uint(), offset: uint(), subscription: text() }), { maxLength: 20 }),
  }),
  REDRIVEN: record({ requestId: u32(), count: uint() }),
  SNAPSHOT_SUBSCRIPTION: record({
    requestId: u32(),
    topic: text(),
    name: text(),
    snapshot: text(),
    action: text(),
  }),
  WATCH_TOPICS: record({ requestId: u32(), watchId: u32(), pattern: text() }),
  TOPICS_CHANGED: record({
    requestId: optional(u32()),
    watchId: u32(),
    topics: fc.array(topicInfo, { maxLength: 4 }),
    removed: fc.array(text(), { maxLength: 5 }),
  }),
  UNWATCH_TOPICS: record({ watchId: u32() }),
};

/** An arbitrary for a frame of the type `name`. */
export function frameOf(name: FrameTypeName): fc.Arbitrary<Frame> {
  const values: fc.Arbitrary<unknown> = frameValues[name];
  return values.map((value) => ({ name, value }) as Frame);
}

/** Any frame of any type. */
export const anyFrame: fc.Arbitrary<Frame> = fc.oneof(
  ...(Object.keys(frameValues) as FrameTypeName[]).map(frameOf),
);
