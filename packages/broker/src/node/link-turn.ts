import { Doorbell } from "@millrace/core";
import type { GatewayHandler } from "./gateway-handler.ts";
import type { GatewayLink } from "./gateway-link.ts";
import type { OutboundReader } from "./outbound-reader.ts";

/** A shard as its node keeps it. */
export interface ShardSlot {
  readonly shardId: number;
  thread: number;
  /** Undefined while its thread is down. */
  link: GatewayLink | undefined;
  /** Why it is out of service until an operator repairs it. */
  failed: string | undefined;
  /** Something was written for it that it was not told of yet. */
  dirty: boolean;
}

/** What a turn needs of its node. */
export interface LinkTurnContext {
  readonly readerOutbound: () => OutboundReader | undefined;
  readonly handler: () => GatewayHandler | undefined;
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
      slot.link?.flush();
    }
  }

  /** One turn. */
  run(): void {
    this.#scheduled = false;
    this.#doorbell.cancelSleep();
    this.flush();
    const handler = this.#context.handler();
    if (handler === undefined) return;
    for (const slot of this.#slots) {
      const link = slot.link;
      if (link === undefined) continue;
      link.outbound.drain(handler, TURN_BYTES_MAX);
      if (link.takeSpace()) handler.onSpace(slot.shardId);
    }
    this.#context.readerOutbound()?.drain(handler, COLD_TURN_BYTES_MAX);
    handler.onDrainEnd();
    this.flush();
    if (!this.#hasAnswers()) {
      this.#doorbell.park();
      if (!this.#hasAnswers()) return;
      this.#doorbell.cancelSleep();
    }
    this.schedule();
  }

  #hasAnswers(): boolean {
    for (const slot of this.#slots) {
      if (slot.link !== undefined && !slot.link.outbound.isEmpty()) return true;
    }
    return this.#context.readerOutbound()?.isEmpty() === false;
  }
}
