import assert from "node:assert/strict";
import { gatewayOf } from "../../src/link/gateway-ids.ts";
import { valuesOf } from "./batches.ts";
import { type GatewayEvent, type RecordingGateway, sharedStreamIdOf } from "./recording-gateway.ts";
import type { Seeded } from "./seeded.ts";

/** Says what the record at an offset has to be; undefined in a gap. */
export type ExpectedValue = (topicId: number, offset: number) => string | undefined;

type StreamState = "idle" | "reading" | "joined";

interface Stream {
  readonly streamId: number;
  readonly topicId: number;
  state: StreamState;
  next: number;
  /** Bytes that the next read allows. */
  credit: number;
}

/**
 * Consumers of partition 0 of some topics, as a gateway keeps them: each reads for itself until it stands at the end, joins
 * the tail group, leaves it when it likes, and reads on. Every record must come to each of them once and in order.
 */
export class TailingStreams {
  readonly #streams: Stream[];
  readonly #expected: ExpectedValue;
  readonly #random: Seeded;
  readonly #creditMax: number;
  /** Records that came by a read and from the tail, to see that a run did both. */
  readRecords = 0;
  tailRecords = 0;
  /** How often a group was told to read for itself. */
  scattered = 0;

  constructor(
    topicIds: readonly number[],
    perTopic: number,
    creditMax: number,
    random: Seeded,
    expected: ExpectedValue,
    gateways = 1,
  ) {
    this.#expected = expected;
    this.#random = random;
    this.#creditMax = creditMax;
    this.#streams = topicIds.flatMap((topicId, i) =>
      Array.from({ length: perTopic }, (_, j): Stream => {
        const streamId = random.below(gateways) * 2 ** 24 + 1 + i * perTopic + j;
        return { streamId, topicId, state: "idle", next: 0, credit: creditMax };
      }),
    );
  }

  /** One idle stream reads, or one at the tail leaves it. @param gateway the owner of the link */
  act(gateway: RecordingGateway): void {
    const stream = this.#random.pick(this.#streams);
    if (stream.state === "idle") this.#read(gateway, stream);
    else if (stream.state === "joined" && this.#random.oneIn(4)) {
      stream.state = "idle";
      this.#untailIfEmpty(gateway, stream);
    }
  }

  /** All idle streams read. @returns whether any did */
  readAll(gateway: RecordingGateway): boolean {
    const idle = this.#streams.filter(({ state }) => state === "idle");
    for (const stream of idle) {
      stream.credit = this.#creditMax;
      this.#read(gateway, stream);
    }
    return idle.length > 0;
  }

  /** What the gateway heard. @throws AssertionError for a gap, a repeat, or a wrong record */
  hear(events: readonly GatewayEvent[]): void {
    for (const event of events) {
      if (event.kind === "deliver") this.#delivered(event);
      else if (event.kind === "joined") {
        const stream = this.#reading(event.streamId);
        assert.equal(event.offset, stream.next, "a join where the stream does not stand");
        stream.state = "joined";
      } else if (event.kind === "needs-credit") {
        const stream = this.#reading(event.streamId);
        assert.ok(event.bytes > stream.credit, "credit was enough");
        stream.credit = event.bytes;
        stream.state = "idle";
      } else if (event.kind === "progress" && this.#members(event.streamId) !== undefined) {
        // Not all of the group may be there yet, or still: each finds out for itself.
        for (const stream of this.#members(event.streamId) ?? []) {
          if (stream.state === "joined") stream.state = "idle";
        }
        this.scattered += 1;
      } else if (event.kind === "progress") {
        const stream = this.#reading(event.streamId);
        assert.ok(event.nextOffset > stream.next, "progress goes nowhere");
        for (let offset = stream.next; offset < event.nextOffset; offset += 1) {
          assert.equal(this.#expected(stream.topicId, offset), undefined, `offset ${offset} was skipped`);
        }
        stream.next = event.nextOffset;
        stream.state = "idle";
      } else if (event.kind === "read-error") {
        assert.fail(`${event.error} for a stream at ${this.#reading(event.streamId).next}`);
      }
    }
  }

  /** Whether every stream stands at the tail at this offset. */
  allAt(endOffset: (topicId: number) => number): boolean {
    return this.#streams.every(
      ({ state, next, topicId }) => state === "joined" && next === endOffset(topicId),
    );
  }

  toString(): string {
    return this.#streams
      .map(({ streamId, topicId, state, next }) => `${streamId}@${topicId} ${state} ${next}`)
      .join(", ");
  }

  #read(gateway: RecordingGateway, stream: Stream): void {
    const { streamId, topicId, next, credit } = stream;
    if (!gateway.of(gatewayOf(streamId)).read(streamId, topicId, next, credit)) return;
    stream.state = "reading";
  }

  /** As a gateway does: not while a read is under way that may still join. */
  #untailIfEmpty(gateway: RecordingGateway, { streamId, topicId }: Stream): void {
    const group = this.#streams.filter((stream) => sharedIdOf(stream) === sharedIdOf({ streamId, topicId }));
    if (group.every(({ state }) => state === "idle")) gateway.of(gatewayOf(streamId)).untail(topicId);
  }

  #delivered(event: Extract<GatewayEvent, { kind: "deliver" }>): void {
    const { entries, firstOffset, nextOffset, shared } = event;
    const targets = shared
      ? this.#streams.filter((stream) => stream.state === "joined" && sharedIdOf(stream) === event.streamId)
      : [this.#reading(event.streamId)];
    assert.ok(entries.length > 0 && entries[0]?.baseOffset === firstOffset);
    const [first] = targets;
    if (first === undefined) return;
    let offset = firstOffset;
    for (const { baseOffset, count, stored } of entries) {
      assert.equal(baseOffset, offset, "entries of one frame follow each other");
      for (const value of valuesOf(stored)) {
        assert.equal(value, this.#expected(first.topicId, offset), `record at offset ${offset}`);
        offset += 1;
      }
      assert.equal(offset, baseOffset + count);
    }
    assert.equal(offset, nextOffset);
    for (const stream of targets) {
      if (shared) assert.equal(firstOffset, stream.next, "a gap or repeat at the tail");
      else {
        assert.ok(firstOffset <= stream.next && stream.next < nextOffset, "not what was asked for");
        assert.ok(event.frameBytes <= stream.credit, "more bytes than allowed");
        stream.state = "idle";
        stream.credit = 1 + this.#random.below(this.#creditMax);
      }
      if (shared) this.tailRecords += nextOffset - stream.next;
      else this.readRecords += nextOffset - stream.next;
      stream.next = nextOffset;
    }
  }

  /** The streams of a partition, by the id of its tail group; undefined for any other id. */
  #members(sharedStreamId: number): Stream[] | undefined {
    const members = this.#streams.filter((stream) => sharedIdOf(stream) === sharedStreamId);
    return members.length === 0 ? undefined : members;
  }

  #reading(streamId: number): Stream {
    const stream = this.#streams.find((each) => each.streamId === streamId);
    assert.ok(stream !== undefined, `answer to stream ${streamId}, which nobody has`);
    assert.equal(stream.state, "reading", `stream ${streamId} was answered twice`);
    return stream;
  }
}

function sharedIdOf({ streamId, topicId }: Pick<Stream, "streamId" | "topicId">): number {
  return sharedStreamIdOf(topicId, 0, gatewayOf(streamId));
}
