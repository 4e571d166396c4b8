import type { CommitOutcome, Frame } from "@millrace/protocol";
import type { InMemoryClient } from "./in-memory.ts";

/** A partition as its member sees it. */
export interface ModelPartition {
  readonly partition: number;
  readonly epoch: number;
  readonly logEpoch: number;
  readonly startOffset: number;
  /** The next offset that is to come. */
  next: number;
  isRevoked: boolean;
}

/** What a member says of itself to those who check all members. */
export interface MemberWitness {
  onAssigned(member: MemberModel, held: ModelPartition): void;
  onProcessed(partition: number, firstOffset: number, nextOffset: number): void;
  onCommitted(outcome: CommitOutcome): void;
}

/** One client's part in a stream subscription: it does what it is told, and checks that it is told what can be. */
export class MemberModel {
  readonly client: InMemoryClient;
  readonly #witness: MemberWitness;
  readonly #byStream: Map<number, ModelPartition> = new Map();
  readonly held: Map<number, ModelPartition> = new Map();
  /** Undefined until CONSUMING. */
  consumerId: number | undefined;
  /** It neither commits nor releases. */
  isSilent = false;
  isOver = false;
  isPaused: () => boolean;
  creditUsed = 0;
  creditLimit: number;
  #lastRequestId = 100;
  #isRefused = false;

  constructor(client: InMemoryClient, creditLimit: number, witness: MemberWitness, isPaused: () => boolean) {
    this.client = client;
    this.creditLimit = creditLimit;
    this.#witness = witness;
    this.isPaused = isPaused;
    client.socket.onFrame = (frame, length) => this.#onFrame(frame, length);
    this.#consume();
  }

  /** Again, when it was refused because a shard was down. */
  consumeAgain(): void {
    if (this.#isRefused) this.#consume();
  }

  #consume(): void {
    this.#isRefused = false;
    this.client.send({
      name: "CONSUME",
      value: {
        requestId: 1,
        topic: "flights",
        subscription: "board",
        mode: "stream",
        slots: 0,
        creditLimit: this.creditLimit,
        create: { mode: "stream", from: ["earliest"] },
        extensions: {},
      },
    });
  }

  grant(bytes: number): void {
    const consumerId = this.consumerId;
    if (consumerId === undefined || this.isOver) return;
    this.creditLimit = Math.max(this.creditLimit, this.creditUsed + bytes);
    const { creditLimit } = this;
    this.client.send({ name: "CONSUMER_CREDIT", value: { consumerId, slots: 0, creditLimit } });
  }

  commit(): void {
    const consumerId = this.consumerId;
    if (consumerId === undefined || this.isOver) return;
    const positions = [...this.held.values()].map(({ partition, epoch, next, logEpoch }) => {
      return { partition, assignmentEpoch: epoch, offset: next, logEpoch };
    });
    this.#lastRequestId += 1;
    this.client.send({ name: "COMMIT", value: { requestId: this.#lastRequestId, consumerId, positions } });
  }

  /** Gives back what was revoked. */
  release(): void {
    const consumerId = this.consumerId;
    if (consumerId === undefined || this.isOver) return;
    const revoked = [...this.held.values()].filter(({ isRevoked }) => isRevoked);
    for (const { partition } of revoked) this.held.delete(partition);
    const partitions = revoked.map(({ partition, epoch }) => ({ partition, assignmentEpoch: epoch }));
    if (partitions.length > 0) this.client.send({ name: "RELEASE", value: { consumerId, partitions } });
  }

  stop(): void {
    const consumerId = this.consumerId;
    if (consumerId === undefined || this.isOver) return;
    this.#end();
    this.client.send({ name: "STOP_CONSUMING", value: { requestId: 2, consumerId } });
  }

  vanish(): void {
    this.#end();
    this.client.socket.handler?.onClose(1006);
  }

  #end(): void {
    this.isOver = true;
    this.held.clear();
    this.#byStream.clear();
  }

  #onFrame(frame: Frame, length: number): void {
    if (this.isOver) return;
    switch (frame.name) {
      case "CONSUMING":
        this.consumerId = frame.value.consumerId;
        break;
      case "ASSIGNED":
        for (const row of frame.value.partitions) {
          const { partition, assignmentEpoch, streamId, startOffset, logEpoch } = row;
          check(!this.held.has(partition), `partition ${partition} is assigned twice`);
          const next = startOffset;
          const held = { partition, epoch: assignmentEpoch, logEpoch, startOffset, next, isRevoked: false };
          this.held.set(partition, held);
          this.#byStream.set(streamId, held);
          this.#witness.onAssigned(this, held);
        }
        break;
      case "REVOKED":
        for (const { partition, assignmentEpoch } of frame.value.partitions) {
          const held = this.held.get(partition);
          // It may have released it in the meantime.
          if (held?.epoch !== assignmentEpoch) continue;
          if (frame.value.withinMs === 0) this.held.delete(partition);
          held.isRevoked = true;
          for (const [streamId, other] of this.#byStream) if (other === held) this.#byStream.delete(streamId);
        }
        break;
      case "STREAM": {
        const held = this.#stream(frame.value.fromStreamId);
        this.#byStream.delete(frame.value.fromStreamId);
        this.#byStream.set(frame.value.toStreamId, held);
        break;
      }
      case "PROGRESS": {
        const held = this.#stream(frame.value.streamId);
        check(frame.value.nextOffset > held.next, "PROGRESS goes back");
        this.#witness.onProcessed(held.partition, held.next, frame.value.nextOffset);
        held.next = frame.value.nextOffset;
        break;
      }
      case "DELIVER":
        this.creditUsed += length;
        check(this.creditUsed <= this.creditLimit, "more was sent than credit allows");
        check(!this.isPaused(), "a delivery while paused");
        this.#deliver(frame.value);
        break;
      case "COMMITTED":
        for (const outcome of frame.value.outcomes) this.#witness.onCommitted(outcome);
        break;
      case "ERROR":
        check(frame.value.name === "SHARD_RESTARTED", `unexpected error ${frame.value.name}`);
        this.#isRefused ||= frame.value.requestId === 1;
        break;
      default:
    }
  }

  #deliver({ streamId, entries, nextOffset }: Extract<Frame, { name: "DELIVER" }>["value"]): void {
    const held = this.#stream(streamId);
    for (const { baseOffset, count } of entries) {
      const isFirst =
        held.next === held.startOffset && baseOffset < held.next && baseOffset + count > held.next;
      check(baseOffset === held.next || isFirst, `got ${baseOffset}, expected ${held.next}`);
      this.#witness.onProcessed(held.partition, held.next, baseOffset + count);
      held.next = baseOffset + count;
    }
    check(nextOffset === held.next, "nextOffset does not follow the entries");
  }

  #stream(streamId: number): ModelPartition {
    const held = this.#byStream.get(streamId);
    if (held === undefined) throw new Error(`a frame for stream ${streamId}, which the member does not have`);
    return held;
  }
}

function check(fact: boolean, message: string): void {
  if (!fact) throw new Error(message);
}
