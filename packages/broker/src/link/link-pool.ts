import { OneToOneRingBuffer } from "@millrace/core";
import { BROKER_LIMITS } from "../limits.ts";
import type { Clock } from "../shard/clock.ts";
import { allocateLink, type LinkBuffers } from "./link-buffers.ts";

interface Returned {
  readonly buffers: LinkBuffers;
  readonly atMs: number;
}

/**
 * Memory of links that are over, for the next ones. It is megabytes that the collectors of two threads know nothing of: left to
 * them, that of many shards that were opened and closed would stay for long. Main thread.
 */
export class LinkPool {
  readonly #clock: Pick<Clock, "monotonicMs">;
  /** Oldest first. */
  readonly #returned: Returned[] = [];

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  /** A link whose rings are empty. */
  take(): LinkBuffers {
    const oldest = this.#returned[0];
    if (oldest === undefined || this.#clock.monotonicMs() - oldest.atMs < BROKER_LIMITS.linkRestsMs) {
      return allocateLink();
    }
    this.#returned.shift();
    return emptied(oldest.buffers);
  }

  /** The shard is closed, and nobody is to use the link any more; it rests for a while, should somebody not have heard of it. */
  give(buffers: LinkBuffers): void {
    if (this.#returned.length >= BROKER_LIMITS.linksKeptMax) this.#returned.shift();
    this.#returned.push({ buffers, atMs: this.#clock.monotonicMs() });
  }
}

/**
 * Whoever attaches to a ring goes on at its positions; what was said in it before is over. Records cannot be read any more: a
 * shard has given back its tail cache to the byte, and has made entries of batches where they stood.
 */
function emptied(buffers: LinkBuffers): LinkBuffers {
  for (const ring of [buffers.inbound, buffers.reads, buffers.consumers, buffers.outbound]) {
    OneToOneRingBuffer.attach(ring).discard();
  }
  new Int32Array(buffers.state).fill(0);
  return buffers;
}
