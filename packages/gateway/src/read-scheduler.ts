import { type GatewayPort, SHARD_DOWN } from "@millrace/broker/internal";
import { MillraceError } from "@millrace/protocol";
import type { Clock } from "./clock.ts";
import { Fifo } from "./fifo.ts";
import { GATEWAY_LIMITS } from "./limits.ts";
import type { OutputMeter } from "./output-meter.ts";
import { READING, type StreamReader, SUSPENDED, WAITING } from "./stream-reader.ts";
import { readerDetails, type Subscription } from "./subscription.ts";

/**
 * Decides when a stream may read. A read takes credit of its subscription, room of its session's socket and room in
 * its shard's ring; streams of one subscription take turns. Every refusal has its way back: a grant, a drain of the
 * socket, room in the ring, or the answer to another read.
 */
export class ReadScheduler {
  readonly #port: GatewayPort;
  readonly #clock: Clock;
  readonly #output: OutputMeter;
  /** Streams that wait for room in a shard's ring; index = shard. */
  readonly #blocked: (Set<StreamReader> | undefined)[] = [];
  readonly #planned: Fifo<Subscription> = new Fifo();
  #turnPlanned = false;
  /** Reads under way, of all sessions. */
  #readings = 0;

  constructor(port: GatewayPort, clock: Clock, output: OutputMeter) {
    this.#port = port;
    this.#clock = clock;
    this.#output = output;
  }

  /** Starts as many of the subscription's reads as credit, socket and rings allow. */
  pump(subscription: Subscription): void {
    const { session, waiting } = subscription;
    while (!subscription.ended && !subscription.paused) {
      const stream = waiting.first;
      if (stream === undefined) return;
      if (stream.state !== WAITING || stream.starved) {
        subscription.dequeue();
        continue;
      }
      if (!session.canSend()) return;
      const free = subscription.freeCredit;
      if (free <= 0 || stream.neededBytes > free) {
        // It stays first: what becomes free is kept for it, or the others would use it up for ever.
        if (canEverHave(subscription, stream)) return;
        continue;
      }
      const maxBytes = Math.max(stream.neededBytes, Math.min(this.#readBytes(subscription), free));
      const owed = session.unsentBytes + session.readingBytes;
      if (session.readingBytes > 0 && owed + maxBytes > this.#output.highWaterBytes) return;
      subscription.dequeue();
      this.#read(stream, maxBytes);
    }
  }

  /** pump() soon, in a turn of bounded length. */
  plan(subscription: Subscription): void {
    if (subscription.pumpPlanned) return;
    subscription.pumpPlanned = true;
    this.#planned.push(subscription);
    this.#planTurn();
  }

  /** Plans all of the session's subscriptions that want to read, but `except`: room they share was given back. */
  planOthers(except: Subscription): void {
    const { readers } = except.session;
    if (readers === undefined || readers.size < 2) return;
    for (const other of readers) {
      if (other !== except && other.waiting.length > 0) this.plan(other);
    }
  }

  /** The stream was answered: it and the others may read on. */
  readOn(stream: StreamReader): void {
    const { subscription } = stream;
    subscription.enqueue(stream);
    this.pump(subscription);
    this.planOthers(subscription);
  }

  /** Takes the read off the books; the stream wants to read again, but stands in no line yet. */
  settle(stream: StreamReader): void {
    const { group, subscription } = stream;
    group.readings -= 1;
    this.#readings -= 1;
    subscription.lentBytes -= stream.lentBytes;
    subscription.session.readingBytes -= stream.lentBytes;
    stream.lentBytes = 0;
    stream.state = WAITING;
  }

  /** The client gave credit: streams whose batch had been too large for it may try again. */
  grant(subscription: Subscription, creditLimit: number): void {
    subscription.grant(creditLimit);
    if (subscription.hasStarved) feedStarved(subscription);
    this.pump(subscription);
  }

  onSpace(shardId: number): void {
    const blocked = this.#blocked[shardId];
    if (blocked === undefined) return;
    this.#blocked[shardId] = undefined;
    for (const stream of blocked) {
      if (stream.state !== WAITING) continue;
      stream.subscription.enqueue(stream);
      this.plan(stream.subscription);
    }
  }

  /** The stream has ended. */
  forget(stream: StreamReader): void {
    this.#blocked[stream.group.shardId]?.delete(stream);
  }

  onShardDown(shardId: number): void {
    this.#blocked[shardId] = undefined;
  }

  /**
   * Bytes that one read may bring. A stream has one read under way, so a lone one that is behind needs large reads to
   * keep up with its log; several, of whatever session, make up for the way to the shard by reading at the same time, and
   * large frames would make everybody else wait. A quarter of the client's window leaves it something to work on while the
   * next read is under way.
   */
  #readBytes(subscription: Subscription): number {
    if (this.#output.isTight) return GATEWAY_LIMITS.readTightBytesMax;
    const { session, streams, windowBytes } = subscription;
    const subscriptions = session.readers?.size ?? 1;
    const streamsReading = Math.max(streams.length * subscriptions, this.#readings + 1);
    const share = Math.floor(GATEWAY_LIMITS.readAloneBytesMax / streamsReading);
    return Math.max(GATEWAY_LIMITS.readBytesMax, Math.min(share, Math.floor(windowBytes / 4)));
  }

  #read(stream: StreamReader, maxBytes: number): void {
    const { group, subscription } = stream;
    const outcome = this.#port.read(
      group.shardId,
      stream.streamId,
      group.sharedStreamId,
      group.topic.topicId,
      group.partition,
      stream.nextOffset,
      maxBytes,
    );
    if (outcome === 0) {
      stream.state = READING;
      stream.lentBytes = maxBytes;
      subscription.lentBytes += maxBytes;
      subscription.session.readingBytes += maxBytes;
      group.readings += 1;
      this.#readings += 1;
    } else if (outcome === SHARD_DOWN) {
      stream.state = SUSPENDED;
    } else {
      const blocked = this.#blocked[group.shardId] ?? new Set();
      this.#blocked[group.shardId] = blocked;
      blocked.add(stream);
    }
  }

  #planTurn(): void {
    if (this.#turnPlanned) return;
    this.#turnPlanned = true;
    this.#clock.soon(() => {
      this.#turnPlanned = false;
      for (let left = GATEWAY_LIMITS.sendsPerTurn; left > 0; left -= 1) {
        const subscription = this.#planned.shift();
        if (subscription === undefined) return;
        subscription.pumpPlanned = false;
        this.pump(subscription);
      }
      if (this.#planned.length > 0) this.#planTurn();
    });
  }
}

/** False when the next batch is larger than all the credit the client ever leaves open; it is told so, once. */
function canEverHave(subscription: Subscription, stream: StreamReader): boolean {
  if (stream.neededBytes <= subscription.windowBytes) return true;
  stream.starved = true;
  subscription.hasStarved = true;
  subscription.session.sendError(
    new MillraceError("CREDIT_TOO_SMALL", "the next batch is larger than the subscription's credit", {
      details: {
        ...readerDetails(subscription),
        partition: stream.group.partition,
        neededBytes: stream.neededBytes,
      },
    }),
  );
  return false;
}

function feedStarved(subscription: Subscription): void {
  subscription.hasStarved = false;
  for (const stream of subscription.streams) {
    if (!stream.starved) continue;
    if (stream.neededBytes > subscription.windowBytes) {
      subscription.hasStarved = true;
      continue;
    }
    stream.starved = false;
    if (stream.state === WAITING) subscription.enqueue(stream);
  }
}
