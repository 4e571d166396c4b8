import { readU64 } from "@millrace/journal/internal";
import * as inbound from "../link/inbound-layout.ts";
import type { Delivery } from "./delivery.ts";
import type { ShardLink } from "./shard-link.ts";
import type { ShardState } from "./shard-state.ts";

/** Reads answered per duty cycle at most. */
const DRAIN_READS_MAX = 64;

/** Takes READ and UNTAIL records from their ring to the delivery. Shard thread only. */
export class ReadIntake {
  readonly #link: ShardLink;
  readonly #state: ShardState;
  readonly #delivery: Delivery;

  constructor(link: ShardLink, state: ShardState, delivery: Delivery) {
    this.#link = link;
    this.#state = state;
    this.#delivery = delivery;
  }

  /** One cycle's part of what stands in the ring. @returns the number of records */
  run(): number {
    const ring = this.#link.reads;
    if (ring.poll() === 0) return 0;
    const words = ring.words;
    let handled = 0;
    while (handled < DRAIN_READS_MAX && this.#link.hasRoomForRead()) {
      const index = ring.next();
      if (index < 0) break;
      const w = index >> 2;
      if (words[w + 1] === inbound.INBOUND.READ) {
        if (!this.#read(words, w)) break;
      } else {
        this.#delivery.untail(
          this.#state.find(
            words[w + inbound.UNTAIL_TOPIC_ID] as number,
            words[w + inbound.UNTAIL_PARTITION] as number,
          ),
          words[w + inbound.UNTAIL_GATEWAY] as number,
        );
      }
      ring.advance();
      handled += 1;
    }
    return handled;
  }

  #read(words: Int32Array, w: number): boolean {
    return this.#delivery.read(
      this.#state.find(
        words[w + inbound.READ_TOPIC_ID] as number,
        words[w + inbound.READ_PARTITION] as number,
      ),
      (words[w + inbound.READ_STREAM_ID] as number) >>> 0,
      (words[w + inbound.READ_SHARED_STREAM_ID] as number) >>> 0,
      readU64(words, w + inbound.READ_OFFSET),
      words[w + inbound.READ_MAX_BYTES] as number,
    );
  }
}
