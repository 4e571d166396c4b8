import assert from "node:assert/strict";
import { gatewayOf } from "../../src/link/gateway-ids.ts";
import type { PartitionOpening } from "../../src/shard/topic-requests.ts";
import { DURABILITIES, type Durability, type Topic, type TopicConfig } from "../../src/topic.ts";
import { GatewayAbsences } from "./gateway-absences.ts";
import { type ModelClock, type PartitionImage, PartitionModel, type StopKind } from "./partition-model.ts";
import { type GatewayEvent, type RecordingGateway, sharedStreamIdOf } from "./recording-gateway.ts";
import type { Seeded } from "./seeded.ts";
import { openingOf, type ShardRig } from "./shard-rig.ts";
import { SimulatedConsumer } from "./simulated-consumer.ts";
import { SimulatedProducer } from "./simulated-producer.ts";

const TOPIC_NAMES = ["a", "b", "c", "d"];
const SESSIONS_PER_PARTITION = 8;
/** Whom each producer and consumer comes by. */
export const GATEWAYS = 3;

/** One partition with everybody who uses it. */
interface PartitionWorld {
  readonly model: PartitionModel;
  readonly producers: readonly SimulatedProducer[];
  readonly consumer: SimulatedConsumer;
}

interface TopicWorld {
  topic: Topic;
  readonly partitions: readonly PartitionWorld[];
  opened: boolean;
  deleting: boolean;
}

type Request =
  | { readonly kind: "create"; readonly name: string }
  | { readonly kind: "alter"; readonly world: TopicWorld; readonly durability: Durability }
  | { readonly kind: "configure"; readonly world: TopicWorld }
  | {
      readonly kind: "truncate";
      readonly world: TopicWorld;
      /** What each start is asked to become, and how far its consumer had come by then. */
      readonly starts: readonly {
        readonly at: PartitionWorld;
        readonly offset: number;
        readonly seen: number;
      }[];
    }
  | { readonly kind: "open" | "delete" | "close"; readonly world: TopicWorld };

/** A shard stopped to damage records that it had read back: the right thing to do where a test has damaged them. */
export class ReadRefused extends Error {}

/** Everybody outside the shard: topics, their producers and consumers, and what they know. */
export class SimulatedWorld {
  readonly #random: Seeded;
  readonly #clock: ModelClock;
  readonly #topics: Map<string, TopicWorld> = new Map();
  readonly #byId: Map<number, TopicWorld> = new Map();
  /** By topic id: names of topics that somebody was told of. An id has one meaning for ever. */
  readonly #usedIds: Map<number, string> = new Map();
  readonly #requests: Map<number, Request> = new Map();
  readonly #absences: GatewayAbsences = new GatewayAbsences();
  #values = 0;
  #hasAskedForSpace = false;
  /** Set when a sync has failed: then nothing may be acked any more. */
  acksAreOver = false;
  /** Guests that lost their way and came back. */
  returned = 0;

  constructor(random: Seeded, clock: ModelClock) {
    this.#random = random;
    this.#clock = clock;
  }

  get knownRecords(): number {
    return this.#partitions().reduce((sum, { model }) => sum + model.knownRecords, 0);
  }

  /** A few batches of somebody. */
  publish(gateway: RecordingGateway): void {
    const random = this.#random;
    const at = this.#somePartition();
    if (at === undefined) return;
    const producer = random.pick(at.producers);
    if (this.#isAway(producer.sessionId)) return;
    for (let batches = 1 + random.below(3); batches > 0; batches -= 1) {
      producer.send(gateway, this.#newValues(`${producer.model}`));
    }
  }

  /** Everything that was not accepted goes out again. @returns whether somebody still waits for an answer */
  resendAll(gateway: RecordingGateway): boolean {
    const producers = this.#partitions().flatMap((at) => at.producers);
    for (const producer of producers) if (!this.#isAway(producer.sessionId)) producer.resend(gateway);
    return producers.some((producer) => !producer.isIdle);
  }

  consume(gateway: RecordingGateway): void {
    const consumer = this.#somePartition()?.consumer;
    if (consumer === undefined || this.#isAway(consumer.streamId)) return;
    const own = gateway.of(gatewayOf(consumer.streamId));
    if (consumer.isJoined && this.#random.oneIn(6)) {
      consumer.goBack(own, this.#random.below(consumer.next + 1));
    } else consumer.read(own);
  }

  /** A guest loses its way to the shard. */
  loseGateway(owner: RecordingGateway): void {
    const gateway = 1 + this.#random.below(GATEWAYS - 1);
    if (this.#absences.isAway(gateway)) return;
    this.#absences.leave(owner, gateway);
    for (const { producers, consumer } of this.#partitions()) {
      for (const producer of producers)
        if (gatewayOf(producer.sessionId) === gateway) producer.onGatewayGone();
      if (gatewayOf(consumer.streamId) === gateway) consumer.onGatewayGone();
    }
  }

  #isAway(id: number): boolean {
    return this.#absences.isAway(gatewayOf(id));
  }

  createTopic(gateway: RecordingGateway): void {
    const random = this.#random;
    const name = random.pick(TOPIC_NAMES);
    const config: TopicConfig = {
      partitions: 1 + random.below(2),
      retentionMs: random.pick([0, 0, 1500, 20_000]),
      retentionBytes: random.pick([0, 0, 0, 6000]),
      durability: random.pick(["fsynced", "fsynced", "written", "memory"]),
    };
    this.#requests.set(gateway.ask("createTopic", [name, config]), { kind: "create", name });
  }

  /** Another durability, or a later start. */
  changeTopic(gateway: RecordingGateway): void {
    const world = this.#someTopic();
    if (world === undefined) return;
    if (this.#random.oneIn(3)) this.#alter(gateway, world);
    else this.#truncate(gateway, world);
  }

  #alter(gateway: RecordingGateway, world: TopicWorld): void {
    const durability = this.#random.pick(DURABILITIES);
    for (const { model } of world.partitions) model.mayBecome(DURABILITIES.indexOf(durability));
    const requestId = gateway.ask("alterTopic", [world.topic.name, { durability }]);
    this.#requests.set(requestId, { kind: "alter", world, durability });
  }

  /** Gives up the records of all partitions of a topic below some offset of each; rarely beyond its end. */
  #truncate(gateway: RecordingGateway, world: TopicWorld): void {
    const beyond = this.#random.oneIn(8) ? 4 : 1;
    const starts = world.partitions.map((at) => {
      const seen = at.consumer.next;
      return { at, seen, offset: this.#random.below(seen + beyond) };
    });
    for (const { at, offset } of starts) at.model.mayStartAt(offset);
    const rows = starts.map(({ at, offset }) => [at.model.partition, offset] as const);
    const requestId = gateway.ask("truncate", [world.topic.topicId, rows]);
    this.#requests.set(requestId, { kind: "truncate", world, starts });
  }

  /** The volume is too full: some of the oldest records have to go, whatever their topics say. */
  dropOldest(gateway: RecordingGateway): void {
    // Also of topics that come before it is done.
    this.#hasAskedForSpace = true;
    for (const { model } of this.#partitions()) model.mayDropAny = true;
    gateway.ask("drop", [1 + this.#random.below(4)]);
  }

  deleteTopic(gateway: RecordingGateway): void {
    const world = this.#topics.get(this.#random.pick(TOPIC_NAMES));
    if (world === undefined || world.deleting || !world.opened) return;
    world.deleting = true;
    this.#requests.set(gateway.ask("deleteTopic", [world.topic.name]), { kind: "delete", world });
  }

  /** Tells everybody what the gateway has heard. @throws AssertionError when that must not be */
  hear(gateway: RecordingGateway): void {
    for (const heard of gateway.takeAll()) {
      if (!this.#absences.isAway(heard.gateway)) this.#hear(gateway, heard.event);
    }
  }

  /** The shard is gone with all it had not answered. */
  onShardRestart(): void {
    this.acksAreOver = false;
    this.#absences.onShardRestart();
    for (const { producers, consumer } of this.#partitions()) {
      for (const producer of producers) producer.onShardRestart();
      consumer.onShardRestart();
    }
  }

  /** After recovery: reconciles the shard as a node does, reads everything back, and compares it with what is known. */
  recover(rig: ShardRig, stop: StopKind): void {
    for (const [model, image] of this.compare(rig, stop)) model.adopt(image);
  }

  /** As `recover`, but what was found is only compared: the machine is a copy. */
  compare(rig: ShardRig, stop: StopKind): Map<PartitionModel, PartitionImage> {
    const truncating = [...this.#requests.values()].filter((request) => request.kind === "truncate");
    this.#adoptCatalog(rig.answer("catalog", [0]) as Topic[]);
    rig.reconcile([...this.#topics.values()].flatMap(({ topic }) => openingsOf(topic)));
    for (const world of this.#topics.values()) world.opened = true;
    const partitions = this.#partitions();
    for (let rounds = 0; !partitions.every(({ consumer }) => consumer.isJoined); rounds += 1) {
      assert.ok(rounds < 100_000, "reading back comes to no end");
      for (const { consumer } of partitions) consumer.read(rig.gateway.of(gatewayOf(consumer.streamId)));
      rig.settle();
      this.hear(rig.gateway);
    }
    const images = new Map<PartitionModel, PartitionImage>();
    for (const { model, consumer } of partitions) {
      const [bounds] = rig.answer("bounds", [model.topicId, [model.partition]]);
      assert.ok(bounds !== undefined);
      const [logStartOffset, highWatermark, logEpoch] = bounds;
      const image = consumer.takeImage(logEpoch, logStartOffset);
      assert.equal(image.highWatermark, highWatermark);
      model.verify(image, stop);
      images.set(model, image);
    }
    for (const { starts } of truncating) checkAtomic(starts, images);
    return images;
  }

  #hear(gateway: RecordingGateway, event: GatewayEvent): void {
    switch (event.kind) {
      case "ack":
        assert.ok(!this.acksAreOver, "an ack after a failed sync");
        this.#producer(event.topicId, event.partition, event.sessionId)?.onAck(event);
        return;
      case "publish-error":
        this.#producer(event.topicId, event.partition, event.sessionId)?.onError(event);
        return;
      case "reply":
        this.#answered(gateway, event);
        return;
      case "deliver":
        this.#consumer(event.streamId, event.shared)?.onDeliver(event);
        return;
      case "joined":
        this.#consumer(event.streamId, false)?.onJoined(event.offset);
        return;
      case "progress":
        this.#consumer(event.streamId, false)?.onProgress(event.nextOffset, event.reason);
        return;
      case "needs-credit":
        this.#consumer(event.streamId, false)?.onNeedsCredit(event.bytes);
        return;
      case "read-error":
        if (this.#consumer(event.streamId, false) === undefined) return;
        throw new ReadRefused(`${event.error} for stream ${event.streamId}`);
    }
  }

  #answered(
    gateway: RecordingGateway,
    { requestId, error, value }: Extract<GatewayEvent, { kind: "reply" }>,
  ): void {
    if (this.#absences.onReply(gateway, requestId) !== undefined) this.returned += 1;
    const request = this.#requests.get(requestId);
    this.#requests.delete(requestId);
    if (request === undefined) return;
    if (request.kind === "create") {
      if (error !== undefined) {
        assert.ok(error === "TOPIC_EXISTS" || error === "DISK_FULL", error);
        return;
      }
      const world = this.#addTopic(value as Topic);
      this.#requests.set(gateway.ask("open", [openingsOf(world.topic)]), { kind: "open", world });
      return;
    }
    if (request.kind === "alter") {
      if (error !== undefined) {
        assert.ok(error === "UNKNOWN_TOPIC" || error === "DISK_FULL", error);
        return;
      }
      const altered = value as Topic;
      const { catalogPosition } = altered;
      assert.deepEqual(altered, { ...request.world.topic, durability: request.durability, catalogPosition });
      request.world.topic = altered;
      const requestId = gateway.ask("configure", [openingsOf(altered)]);
      this.#requests.set(requestId, { kind: "configure", world: request.world });
      return;
    }
    if (request.kind === "truncate") {
      this.#truncated(request, error, value);
      return;
    }
    const { world } = request;
    if (request.kind === "open") world.opened = true;
    else if (request.kind === "delete" && error !== undefined) {
      assert.equal(error, "DISK_FULL");
      world.deleting = false;
    } else if (request.kind === "delete") {
      this.#topics.delete(world.topic.name);
      this.#byId.delete(world.topic.topicId);
      this.#requests.set(gateway.ask("close", [world.topic.topicId]), { kind: "close", world });
    }
  }

  #truncated(
    { starts, world }: Extract<Request, { kind: "truncate" }>,
    error: string | undefined,
    value: unknown,
  ): void {
    if (error === "OFFSET_OUT_OF_RANGE") {
      assert.ok(
        starts.some(({ offset, seen }) => offset > seen),
        "a truncation was refused for nothing",
      );
    } else if (error !== undefined) {
      assert.ok(error === "DISK_FULL" || (error === "UNKNOWN_PARTITION" && world.deleting), error);
    }
    starts.forEach(({ at, offset }, i) => {
      at.model.startsAt(offset, error === undefined ? (value as number[][])[i]?.[0] : undefined);
    });
  }

  /** What was answered is there; what was asked and not answered is there or not. */
  #adoptCatalog(found: readonly Topic[]): void {
    const creating = new Set<string>();
    for (const request of this.#requests.values()) if (request.kind === "create") creating.add(request.name);
    const deleting = new Set<TopicWorld>();
    for (const request of this.#requests.values()) if (request.kind === "delete") deleting.add(request.world);
    const altering = new Map<TopicWorld, Durability[]>();
    for (const request of this.#requests.values()) {
      if (request.kind !== "alter") continue;
      altering.set(request.world, [...(altering.get(request.world) ?? []), request.durability]);
    }
    this.#requests.clear();
    for (const world of [...this.#topics.values()]) {
      const topic = found.find(({ topicId }) => topicId === world.topic.topicId);
      if (topic !== undefined) {
        // A change that was not answered was made or not, and moved the topic's record if it was.
        const { durability, catalogPosition } = topic;
        const altered = catalogPosition > world.topic.catalogPosition;
        if (altered)
          assert.ok(altering.get(world)?.includes(durability), `${durability} was never asked for`);
        assert.deepEqual(topic, altered ? { ...world.topic, durability, catalogPosition } : world.topic);
        world.topic = topic;
        world.deleting = false;
        continue;
      }
      assert.ok(deleting.has(world), `topic ${world.topic.name} is lost`);
      this.#topics.delete(world.topic.name);
      this.#byId.delete(world.topic.topicId);
    }
    for (const topic of found) {
      if (this.#byId.has(topic.topicId)) continue;
      assert.ok(creating.has(topic.name), `topic ${topic.name} ${topic.topicId} is back`);
      this.#addTopic(topic);
    }
  }

  #addTopic(topic: Topic): TopicWorld {
    const { topicId } = topic;
    assert.ok(
      !this.#usedIds.has(topicId),
      `id ${topicId} had ${this.#usedIds.get(topicId)} and gets ${topic.name}`,
    );
    this.#usedIds.set(topicId, topic.name);
    const durability = DURABILITIES.indexOf(topic.durability);
    const world: TopicWorld = {
      topic,
      opened: false,
      deleting: false,
      partitions: topic.shards.map((_, partition) => {
        const model = new PartitionModel(topicId, partition, { ...topic, durability }, this.#clock);
        if (this.#hasAskedForSpace) model.mayDropAny = true;
        const at = (topicId * 2 + partition) * SESSIONS_PER_PARTITION;
        return {
          model,
          producers: [
            new SimulatedProducer(0, this.#idBySome(at), model),
            new SimulatedProducer(2 ** 52 + at, this.#idBySome(at + 1), model),
            new SimulatedProducer(7, this.#idBySome(at + 2), model),
          ],
          consumer: new SimulatedConsumer(model, this.#idBySome(at)),
        };
      }),
    };
    this.#topics.set(topic.name, world);
    this.#byId.set(topicId, world);
    return world;
  }

  /** Whoever has the id comes by some gateway. */
  #idBySome(local: number): number {
    return this.#random.below(GATEWAYS) * 2 ** 24 + local;
  }

  #newValues(of: string): string[] {
    const random = this.#random;
    return Array.from({ length: 1 + random.below(4) }, () => {
      this.#values += 1;
      // Some are longer than a sector, so that they are torn inside.
      return `${of} ${this.#values}`.padEnd(random.oneIn(4) ? random.below(900) : 0, ".");
    });
  }

  #partitions(): PartitionWorld[] {
    return [...this.#topics.values()].flatMap((world) => [...world.partitions]);
  }

  #somePartition(): PartitionWorld | undefined {
    const world = this.#someTopic();
    return world === undefined ? undefined : this.#random.pick(world.partitions);
  }

  #someTopic(): TopicWorld | undefined {
    const opened = [...this.#topics.values()].filter((world) => world.opened && !world.deleting);
    return opened.length === 0 ? undefined : this.#random.pick(opened);
  }

  #producer(topicId: number, partition: number, sessionId: number): SimulatedProducer | undefined {
    return this.#byId.get(topicId)?.partitions[partition]?.producers.find((p) => p.sessionId === sessionId);
  }

  #consumer(streamId: number, shared: boolean): SimulatedConsumer | undefined {
    return this.#partitions().find(({ consumer, model: { topicId, partition } }) =>
      shared
        ? sharedStreamIdOf(topicId, partition, gatewayOf(consumer.streamId)) === streamId
        : consumer.streamId === streamId,
    )?.consumer;
  }
}

function openingsOf(topic: Topic): PartitionOpening[] {
  const durability = DURABILITIES.indexOf(topic.durability);
  const { topicId, retentionMs, retentionBytes, partitions } = topic;
  const share = Math.floor(retentionBytes / partitions);
  return topic.shards.map((_, partition) => openingOf([topicId, partition, durability, retentionMs, share]));
}

/** Of a truncation that was never answered: if it shows in one partition, it shows in all. */
function checkAtomic(
  starts: Extract<Request, { kind: "truncate" }>["starts"],
  images: ReadonlyMap<PartitionModel, PartitionImage>,
): void {
  const shows = starts.some(({ at: { model }, offset }) => {
    const image = images.get(model);
    return image?.logStartOffset === offset && model.onlyAskedOnce(offset);
  });
  for (const { at, offset } of shows ? starts : []) {
    const image = images.get(at.model);
    assert.ok(image === undefined || image.logStartOffset >= offset, `${at.model}: half a truncation`);
  }
}
