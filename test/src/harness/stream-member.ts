import { BatchReader, type FrameValues } from "@millrace/protocol";
import type { Test } from "tap";
import { RawClient, type ReceivedFrame } from "./raw-client.ts";

export interface MemberPartition {
  readonly partition: number;
  readonly epoch: number;
  readonly logEpoch: number;
  readonly startOffset: number;
  /** The next offset that is to come. */
  next: number;
}

export interface MemberRecord {
  readonly partition: number;
  readonly offset: number;
  readonly value: string;
}

/** One client's part in a stream subscription, that handles what comes at once, and commits when it is told to. */
export class StreamMember {
  readonly client: RawClient;
  readonly consumerId: number;
  readonly held: Map<number, MemberPartition> = new Map();
  readonly records: MemberRecord[] = [];
  readonly #byStream: Map<number, MemberPartition> = new Map();
  /** Of commits that have to be answered before these partitions are given back, by request id. */
  readonly #releasing: Map<number, readonly { partition: number; assignmentEpoch: number }[]> = new Map();
  #seen = 0;

  private constructor(client: RawClient, consumerId: number) {
    this.client = client;
    this.consumerId = consumerId;
  }

  /** `onReceived` is told of each frame as it comes. */
  static async join(
    t: Test,
    url: string,
    topic: string,
    subscription: string,
    onReceived?: (received: ReceivedFrame, client: RawClient) => void,
  ): Promise<StreamMember> {
    const client = await RawClient.connect(t, url, onReceived);
    const requestId = client.nextRequestId();
    client.send("CONSUME", {
      requestId,
      topic,
      subscription,
      mode: "stream",
      slots: 0,
      creditLimit: 100_000_000,
      create: { mode: "stream", from: ["earliest"] },
      extensions: {},
    });
    const { consumerId } = await client.next("CONSUMING");
    return new StreamMember(client, consumerId);
  }

  /** Handles what has come. What is revoked is committed, and then released. */
  work(): void {
    const { history } = this.client;
    for (; this.#seen < history.length; this.#seen += 1) {
      const { frame } = history[this.#seen] as (typeof history)[number];
      if (frame.name === "ASSIGNED") this.#assigned(frame.value);
      else if (frame.name === "REVOKED") this.#revoked(frame.value);
      else if (frame.name === "COMMITTED") this.#release(frame.value.requestId);
      else if (frame.name === "STREAM") this.#moved(frame.value);
      else if (frame.name === "DELIVER") this.#deliver(frame.value);
    }
  }

  /** How far it has come in everything that it holds. */
  async commit(): Promise<FrameValues["COMMITTED"]> {
    this.work();
    const requestId = this.#commit([...this.held.values()]);
    // Before it come the answers to what work() and commitSoon() sent.
    for (;;) {
      const committed = await this.client.next("COMMITTED");
      if (committed.requestId === requestId) return committed;
    }
  }

  /** As commit(), without waiting for the answer. */
  commitSoon(): void {
    if (this.held.size > 0) this.#commit([...this.held.values()]);
  }

  #commit(partitions: readonly MemberPartition[]): number {
    const { consumerId } = this;
    const requestId = this.client.nextRequestId();
    const positions = partitions.map(({ partition, epoch, next, logEpoch }) => {
      return { partition, assignmentEpoch: epoch, offset: next, logEpoch };
    });
    this.client.send("COMMIT", { requestId, consumerId, positions });
    return requestId;
  }

  #assigned({ partitions }: FrameValues["ASSIGNED"]): void {
    for (const { partition, assignmentEpoch, streamId, startOffset, logEpoch } of partitions) {
      const held = { partition, epoch: assignmentEpoch, logEpoch, startOffset, next: startOffset };
      this.held.set(partition, held);
      this.#byStream.set(streamId, held);
    }
  }

  #revoked({ partitions, withinMs }: FrameValues["REVOKED"]): void {
    const revoked = partitions.flatMap(({ partition }) => this.held.get(partition) ?? []);
    for (const { partition } of revoked) this.held.delete(partition);
    if (withinMs === 0) return;
    this.#releasing.set(this.#commit(revoked), partitions);
  }

  #release(requestId: number): void {
    const partitions = this.#releasing.get(requestId);
    if (partitions === undefined) return;
    this.#releasing.delete(requestId);
    this.client.send("RELEASE", { consumerId: this.consumerId, partitions });
  }

  #moved({ fromStreamId, toStreamId }: FrameValues["STREAM"]): void {
    const held = this.#byStream.get(fromStreamId);
    if (held !== undefined) this.#byStream.set(toStreamId, held);
    this.#byStream.delete(fromStreamId);
  }

  #deliver({ streamId, entries }: FrameValues["DELIVER"]): void {
    const held = this.#byStream.get(streamId);
    if (held === undefined)
      throw new Error(`a delivery for stream ${streamId}, which the member does not have`);
    const reader = new BatchReader();
    for (const { baseOffset, count, batch } of entries) {
      if (baseOffset > held.next) throw new Error(`got ${baseOffset}, expected ${held.next}`);
      reader.reset(batch, 0, batch.length);
      for (let i = held.next - baseOffset; i < count; i += 1) {
        const value = Buffer.from(reader.valueAt(i)).toString();
        this.records.push({ partition: held.partition, offset: baseOffset + i, value });
      }
      held.next = baseOffset + count;
    }
  }
}
