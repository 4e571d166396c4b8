import { Doorbell } from "@millrace/core";
import type { GatewayHandler } from "./gateway-handler.ts";
import type { GatewayLink } from "./gateway-link.ts";
import type { OutboundReader, OutboundRouting } from "./outbound-reader.ts";
import type { ShardWay } from "./shard-way.ts";

/** A shard as its node keeps it. */
export interface ShardSlot {
  readonly shardId: number;
  /** Its rings, where it is open in this process, also while it may not be used yet or no longer; undefined while its thread is down. */
  link: GatewayLink | undefined;
  /** The way by which it is reached: its link, or through another node. Undefined while it is down. */
  way: ShardWay | undefined;
  /** Why it is out of service until an operator repairs it. */
  failed: string | undefined;
  /** Something was written for it that it was not told of yet. */
  dirty: boolean;
}

/** What a turn needs of its node. */
export interface LinkTurnContext {
  readonly readerOutbound: () => OutboundReader | undefined;
  readonly handler: () => GatewayHandler | undefined;
  /** Undefined: no other gateway uses these shards. */
  readonly routing: () => OutboundRouting | undefined;
  /** Whoever waits for room in the shard's rings may try again. */
  readonly onSpace: (shardId: number) => void;
}

/** Bytes of one outbound ring that one turn hands to the gateway before the event loop may go on. */
const TURN_BYTES_MAX = 1024 * 1024;
/** The same for the ring of the reader thread: one frame of a replay, and whoever publishes or acknowledges has a turn. */
const COLD_TURN_BYTES_MAX = 256 * 1024;

/**
 * The exchange between a node's gateway and its shards, at most once per turn of the event loop: tells the shards of what
 * was written for them, and hands their answers to the gateway. Main thread.
 */
export class LinkTurn {
  readonly #slots: readonly ShardSlot[];
  readonly #doorbell: Doorbell;
  readonly #context: LinkTurnContext;
  readonly #run: () => void = () => this.run();
  #scheduled = false;

  /** @param doorbell rung by shards and reader; this thread is an event loop: they wake it through their MessagePort. */
  constructor(slots: readonly ShardSlot[], doorbell: SharedArrayBuffer, context: LinkTurnContext) {
    this.#slots = slots;
    this.#doorbell = Doorbell.attach(doorbell);
    this.#context = context;
  }

  /** There is something to say or to hear. */
  schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#run);
  }

  /** Tells shards of what was written for them. */
  flush(): void {
    for (const slot of this.#slots) {
      if (!slot.dirty) continue;
      slot.dirty = false;
      slot.way?.flush();
      if (slot.link !== slot.way) slot.link?.flush();
    }
  }

  /** One turn. */
  run(): void {
    this.#scheduled = false;
    this.#doorbell.cancelSleep();
    this.flush();
    const handler = this.#context.handler();
    if (handler === undefined) return;
    const routing = this.#context.routing();
    for (const slot of this.#slots) {
      const { link, way } = slot;
      link?.outbound.drain(handler, TURN_BYTES_MAX, routing);
      if (way?.takeSpace() === true) this.#context.onSpace(slot.shardId);
      // Where the own gateway goes another way there are still guests, and requests.
      if (link !== undefined && link !== way && link.takeSpace()) this.#context.onSpace(slot.shardId);
    }
    this.#context.readerOutbound()?.drain(handler, COLD_TURN_BYTES_MAX, routing);
    handler.onDrainEnd();
    this.flush();
    if (!this.#hasAnswers()) {
      this.#doorbell.park();
      if (!this.#hasAnswers()) return;
      this.#doorbell.cancelSleep();
    }
    this.schedule();
  }

  /** Hands over all that a shard has said, which says no more. */
  hearOut(slot: ShardSlot): void {
    const handler = this.#context.handler();
    if (handler === undefined || slot.link === undefined) return;
    slot.link.outbound.drain(handler, Number.POSITIVE_INFINITY, this.#context.routing());
    handler.onDrainEnd();
  }

  #hasAnswers(): boolean {
    for (const slot of this.#slots) {
      if (slot.link !== undefined && !slot.link.outbound.isEmpty()) return true;
    }
    return this.#context.readerOutbound()?.isEmpty() === false;
  }
}
