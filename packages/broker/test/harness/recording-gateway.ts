import { Doorbell } from "@millrace/core";
import { ENTRY_HEADER_BYTES } from "@millrace/journal/internal";
import { ERROR_CODES, errorNameOf, type IncomingRecord, type ProgressReason } from "@millrace/protocol";
import { crc32, DeliverReader } from "@millrace/protocol/internal";
import { Packr } from "msgpackr";
import type { LinkBuffers } from "../../src/link/link-buffers.ts";
import type { GatewayLoad } from "../../src/node/cluster-status.ts";
import type { GatewayHandler, SubscriptionConsumers } from "../../src/node/gateway-handler.ts";
import { GatewayLink } from "../../src/node/gateway-link.ts";
import { NO_SHARD, OutboundReader, type OutboundRouting } from "../../src/node/outbound-reader.ts";
import { fillEntryHeader } from "../../src/shard/entry-fields.ts";
import type { ShardRequestMap } from "../../src/shard/shard-requests.ts";
import { GuestGateways } from "./guest-gateways.ts";
import { leasesOf } from "./leases-of.ts";

const packr = new Packr({ useRecords: false });

export interface Publish {
  readonly topicId: number;
  readonly partition?: number;
  readonly sessionId?: number;
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
  /** Stated in the frame's head; the truth by default. */
  readonly count: number;
  /** Batch and checksum trailer. */
  readonly stored: Uint8Array;
  /** What the client sent as checksum: by default that of the trailer; null = none. */
  readonly checksum?: number | null;
}

export interface Ack {
  readonly sessionId: number;
  readonly topicId: number;
  readonly partition: number;
  readonly producerId: number;
  readonly firstSequence: number;
  readonly count: number;
  readonly baseOffset: number;
  readonly logEpoch: number;
  readonly durability: number;
}

export interface PublishError {
  readonly sessionId: number;
  readonly topicId: number;
  readonly partition: number;
  readonly producerId: number;
  readonly firstSequence: number;
  readonly count: number;
  readonly error: string;
  readonly retryAfterMs: number;
}

export interface DeliveredEntry {
  readonly baseOffset: number;
  readonly count: number;
  readonly appendTimeMs: number;
  /** Batch and checksum trailer, copied. */
  readonly stored: Uint8Array;
}

export interface Delivery {
  readonly streamId: number;
  readonly shared: boolean;
  readonly firstOffset: number;
  readonly nextOffset: number;
  readonly frameBytes: number;
  readonly entries: readonly DeliveredEntry[];
}

/** One row of a LEASED frame. */
export interface Lease {
  readonly consumerId: number;
  readonly topicId: number;
  readonly partition: number;
  readonly offset: number;
  readonly deliveries: number;
  readonly leaseEpoch: number;
  readonly leaseCounter: number;
  readonly values: readonly string[];
  readonly records: readonly IncomingRecord[];
  readonly hasChecksum: boolean;
}

export interface SettleOptions {
  readonly argument?: number;
  readonly reason?: string;
  /** First, counted from the lease's first record, and number. */
  readonly records?: readonly [number, number];
}

/** Everything a shard said, in its order. */
export type GatewayEvent =
  | ({ readonly kind: "ack" } & Ack)
  | ({ readonly kind: "publish-error" } & PublishError)
  | ({ readonly kind: "deliver" } & Delivery)
  | {
      readonly kind: "joined";
      readonly streamId: number;
      readonly sharedStreamId: number;
      readonly offset: number;
    }
  | {
      readonly kind: "progress";
      readonly streamId: number;
      readonly nextOffset: number;
      readonly reason: string;
    }
  | { readonly kind: "needs-credit"; readonly streamId: number; readonly bytes: number }
  | {
      readonly kind: "read-error";
      readonly streamId: number;
      readonly error: string;
      readonly logStartOffset: number;
      readonly highWatermark: number;
      readonly logEpoch: number;
    }
  | {
      readonly kind: "reply";
      readonly requestId: number;
      readonly error: string | undefined;
      readonly value: unknown;
    }
  | { readonly kind: "available"; readonly subscriptionId: number }
  | {
      readonly kind: "empty";
      readonly consumerId: number;
      readonly messages: number;
      readonly bytes: number;
    }
  | {
      readonly kind: "leased";
      readonly consumerId: number;
      readonly messages: number;
      readonly frameBytes: number;
      readonly leases: readonly Lease[];
    }
  | {
      readonly kind: "settled";
      readonly consumerId: number;
      readonly settleId: number;
      readonly error: string | undefined;
      readonly messages: number;
    }
  | { readonly kind: "notice"; readonly notice: readonly unknown[] };

/** What one of several gateways was told. */
export interface HeardEvent {
  readonly gateway: number;
  readonly event: GatewayEvent;
}

/** The other end of a shard's link, in the same thread: it says what a test tells it to, and writes down what it hears. */
export class RecordingGateway implements GatewayHandler {
  readonly gateway: number;
  readonly link: GatewayLink;
  readonly events: GatewayEvent[] = [];
  /** Of the gateway whose process has the shard. */
  routing: OutboundRouting | undefined;
  #guests: GuestGateways | undefined;
  /** Of all that share the link; undefined while it is one. */
  #timeline: HeardEvent[] | undefined;
  readonly #deliverReader: DeliverReader = new DeliverReader();
  #nextRequestId = 1;

  /** @param link buffers of its own, or the link of the gateway whose guest it is */
  constructor(link: LinkBuffers | GatewayLink, gateway = 0) {
    this.gateway = gateway;
    const isGuest = link instanceof GatewayLink;
    this.link = isGuest ? link : new GatewayLink(link, Doorbell.attach(Doorbell.allocate()), this, 0);
  }

  /** Another gateway that uses the same shard, through this one's process. */
  guest(gateway: number): RecordingGateway {
    const guest = new RecordingGateway(this.link, gateway);
    this.#guests ??= new GuestGateways();
    this.#guests.add(guest);
    this.#timeline ??= [];
    guest.#timeline = this.#timeline;
    this.routing = { gateway: this.gateway, guests: this.#guests };
    return guest;
  }

  /** The gateway of that number: this one or a guest. */
  of(gateway: number): RecordingGateway {
    const found = gateway === this.gateway ? this : this.#guests?.get(gateway);
    if (found === undefined) throw new Error(`nobody is gateway ${gateway}`);
    return found;
  }

  /** An id as this gateway gives it out. */
  id(local: number): number {
    return this.gateway * 2 ** 24 + local;
  }

  /** The reader thread's outbound ring, answered to the same handler. */
  reader(buffer: SharedArrayBuffer): OutboundReader {
    return new OutboundReader(buffer, this, () => {}, NO_SHARD);
  }

  /** False when the inbound ring is full. */
  publish(publish: Publish): boolean {
    const { stored } = publish;
    const index = this.link.claimBatch(stored.length);
    if (index < 0) return false;
    const { bytes, words } = this.link.inbound;
    bytes.set(stored, index + ENTRY_HEADER_BYTES);
    const checksum = publish.checksum === undefined ? trailerOf(stored) : publish.checksum;
    fillEntryHeader(
      words,
      index,
      publish.sessionId ?? 1,
      publish.topicId,
      publish.partition ?? 0,
      publish.producerId ?? 0,
      publish.producerEpoch ?? 0,
      publish.baseSequence ?? 0,
      publish.count,
      checksum ?? 0,
      checksum !== null,
    );
    this.link.commitBatch(index);
    this.link.flush();
    return true;
  }

  /** False when the inbound ring is full. */
  read(streamId: number, topicId: number, offset: number, maxBytes = 4096, partition = 0): boolean {
    const sharedStreamId = sharedStreamIdOf(topicId, partition, this.gateway);
    const outcome = this.link.read(streamId, sharedStreamId, topicId, partition, offset, maxBytes);
    this.link.flush();
    return outcome === 0;
  }

  untail(topicId: number, partition = 0): void {
    this.link.untail(topicId, partition, this.gateway);
    this.link.flush();
  }

  lend(consumerId: number, subscriptionId: number, messages: number, bytes = 1_000_000): void {
    if (this.link.lend(consumerId, subscriptionId, messages, bytes) < 0) throw new Error("ring is full");
    this.link.flush();
  }

  recall(consumerId: number): void {
    if (this.link.recall(consumerId) < 0) throw new Error("ring is full");
    this.link.flush();
  }

  detach(consumerId: number): void {
    if (this.link.detach(consumerId) < 0) throw new Error("ring is full");
    this.link.flush();
  }

  /** All of the lease, unless `records` says which. @returns the settle's id */
  settle(
    lease: Lease,
    action: number,
    { argument = -1, reason, records = [0, lease.values.length] }: SettleOptions = {},
  ): number {
    const settleId = this.#nextRequestId;
    this.#nextRequestId += 1;
    const { consumerId, partition, leaseEpoch, leaseCounter, offset } = lease;
    const outcome = this.link.settle(
      consumerId,
      settleId,
      action,
      partition,
      leaseEpoch,
      leaseCounter,
      offset + records[0],
      records[1],
      argument,
      reason === undefined ? undefined : Buffer.from(reason),
    );
    if (outcome < 0) throw new Error("ring is full");
    this.link.flush();
    return settleId;
  }

  /** @returns the request's id; the answer comes as an event. */
  ask<K extends keyof ShardRequestMap>(kind: K, args: ShardRequestMap[K]["args"]): number {
    const requestId = this.id(this.#nextRequestId);
    this.#nextRequestId += 1;
    this.link.request(requestId, packr.pack([kind, ...args]));
    this.link.flush();
    return requestId;
  }

  /** Hears up to `bytesMax` bytes. @returns the number of records. */
  hear(bytesMax: number = Number.MAX_SAFE_INTEGER): number {
    const heard = this.link.outbound.drain(this, bytesMax, this.routing);
    // Requests that found the ring full go in now.
    this.link.takeSpace();
    return heard;
  }

  /** Takes everything that was heard here and by guests, in its order. */
  takeAll(): HeardEvent[] {
    const timeline = this.#timeline ?? this.events.map((event) => ({ gateway: this.gateway, event }));
    for (const gateway of [this, ...(this.#guests?.all() ?? [])]) gateway.events.length = 0;
    return timeline.splice(0);
  }

  #heard(event: GatewayEvent): void {
    this.events.push(event);
    this.#timeline?.push({ gateway: this.gateway, event });
  }

  /** Takes the events of one kind out of the list, in their order. */
  take<K extends GatewayEvent["kind"]>(kind: K): Extract<GatewayEvent, { kind: K }>[] {
    const taken = this.events.filter((event) => event.kind === kind);
    const kept = this.events.filter((event) => event.kind !== kind);
    this.events.splice(0, this.events.length, ...kept);
    return taken as Extract<GatewayEvent, { kind: K }>[];
  }

  onAck(
    sessionId: number,
    topicId: number,
    partition: number,
    producerId: number,
    firstSequence: number,
    count: number,
    baseOffset: number,
    logEpoch: number,
    durability: number,
  ): void {
    const ack: Ack = {
      sessionId,
      topicId,
      partition,
      producerId,
      firstSequence,
      count,
      baseOffset,
      logEpoch,
      durability,
    };
    this.#heard({ kind: "ack", ...ack });
  }

  onPublishError(
    sessionId: number,
    topicId: number,
    partition: number,
    producerId: number,
    firstSequence: number,
    count: number,
    errorNumber: number,
    retryAfterMs: number,
  ): void {
    const error = nameOf(errorNumber);
    const at = { sessionId, topicId, partition, producerId, firstSequence, count };
    this.#heard({ kind: "publish-error", ...at, error, retryAfterMs });
  }

  onDeliver(
    streamId: number,
    shared: boolean,
    firstOffset: number,
    nextOffset: number,
    bytes: Buffer,
    frameStart: number,
    frameLength: number,
  ): void {
    const reader = this.#deliverReader;
    const entries: DeliveredEntry[] = [];
    reader.reset(bytes, frameStart, frameStart + frameLength);
    if (reader.streamId !== streamId || reader.nextOffset !== nextOffset) {
      throw new Error(
        `frame and ring differ: ${reader.streamId} ${streamId} ${reader.nextOffset} ${nextOffset}`,
      );
    }
    while (reader.next()) {
      const { baseOffset, count, appendTimeMs, batchStart, entryEnd } = reader;
      const stored = new Uint8Array(bytes.subarray(batchStart, entryEnd));
      entries.push({ baseOffset, count, appendTimeMs, stored });
    }
    const frame = { streamId, shared, firstOffset, nextOffset, frameBytes: frameLength, entries };
    this.#heard({ kind: "deliver", ...frame });
  }

  onJoined(streamId: number, sharedStreamId: number, offset: number): void {
    this.#heard({ kind: "joined", streamId, sharedStreamId, offset });
  }

  onProgress(streamId: number, nextOffset: number, reason: ProgressReason): void {
    this.#heard({ kind: "progress", streamId, nextOffset, reason });
  }

  onNeedsCredit(streamId: number, bytes: number): void {
    this.#heard({ kind: "needs-credit", streamId, bytes });
  }

  onReadError(
    streamId: number,
    errorNumber: number,
    logStartOffset: number,
    highWatermark: number,
    logEpoch: number,
  ): void {
    const error = nameOf(errorNumber);
    this.#heard({ kind: "read-error", streamId, error, logStartOffset, highWatermark, logEpoch });
  }

  onReply(requestId: number, payload: Uint8Array): void {
    const [number, value] = packr.unpack(payload) as [number, unknown];
    const error = number === 0 ? undefined : nameOf(number);
    this.#heard({ kind: "reply", requestId, error, value });
  }

  onAvailable(_shardId: number, subscriptionId: number): void {
    this.#heard({ kind: "available", subscriptionId });
  }

  onEmpty(_shardId: number, consumerId: number, messages: number, bytes: number): void {
    this.#heard({ kind: "empty", consumerId, messages, bytes });
  }

  onLeased(
    _shardId: number,
    consumerId: number,
    messages: number,
    bytes: Buffer,
    frameStart: number,
    frameLength: number,
  ): void {
    const leases = leasesOf(new Uint8Array(bytes.subarray(frameStart, frameStart + frameLength)));
    if (leases.some((lease) => lease.consumerId !== consumerId)) throw new Error("frame and ring differ");
    this.#heard({ kind: "leased", consumerId, messages, frameBytes: frameLength, leases });
  }

  onSettled(_shardId: number, consumerId: number, settleId: number, outcome: number, messages: number): void {
    const error = outcome === 0 ? undefined : nameOf(outcome);
    this.#heard({ kind: "settled", consumerId, settleId, error, messages });
  }

  onNotice(_shardId: number, notice: readonly unknown[]): void {
    this.#heard({ kind: "notice", notice });
  }

  onSpace(): void {}
  onDrainEnd(): void {}
  onShardDown(): void {}
  onShardUp(): void {}
  onShardFailed(): void {}
  onTopicCreated(): void {}
  onTopicAltered(): void {}
  onTopicDeleted(): void {}
  consumersOf(): SubscriptionConsumers {
    return { count: 0, holders: [] };
  }
  load(): GatewayLoad {
    return { sessions: 0 };
  }
  onSubscriptionDeleted(): void {}
  onSubscriptionChanged(): void {}
}

/** The tail group's stream of a partition: the same for all reads of a gateway. */
export function sharedStreamIdOf(topicId: number, partition: number, gateway = 0): number {
  return gateway * 2 ** 24 + 1_000_000 + topicId * 1024 + partition;
}

function trailerOf(stored: Uint8Array): number {
  return crc32(stored, 0, stored.length - 5);
}

function nameOf(errorNumber: number): string {
  const name = errorNameOf(errorNumber);
  if (name === undefined || ERROR_CODES[name].code !== errorNumber)
    throw new Error(`no such error: ${errorNumber}`);
  return name;
}
