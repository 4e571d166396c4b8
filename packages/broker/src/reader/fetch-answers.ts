import { type Doorbell, OneToOneRingBuffer } from "@millrace/core";
import { readU64 } from "@millrace/journal/internal";
import { LINK_STATE } from "../link/link-buffers.ts";
import * as out from "../link/outbound-layout.ts";
import type { ReaderLinkBuffers } from "../link/reader-link-buffers.ts";
import { type FetchListener, shardOfFetch } from "../shard/fetch-listener.ts";

/** Hands what the reader thread has fetched to the shards of this thread. Shard thread only. */
export class FetchAnswers {
  readonly #ring: OneToOneRingBuffer;
  readonly #state: Int32Array;
  readonly #readerDoorbell: Doorbell;
  /** Index = shard. */
  readonly #listeners: (FetchListener | undefined)[] = [];

  constructor(buffers: Pick<ReaderLinkBuffers, "fetched" | "state">, readerDoorbell: Doorbell) {
    this.#ring = OneToOneRingBuffer.attach(buffers.fetched);
    this.#state = new Int32Array(buffers.state);
    this.#readerDoorbell = readerDoorbell;
  }

  register(shardId: number, listener: FetchListener): void {
    this.#listeners[shardId] = listener;
  }

  unregister(shardId: number): void {
    this.#listeners[shardId] = undefined;
  }

  /** Hands over what has come. @returns the number of answers */
  poll(): number {
    const ring = this.#ring;
    if (ring.poll() === 0) return 0;
    let handled = 0;
    for (let index = ring.next(); index >= 0; index = ring.next()) {
      this.#dispatch(index);
      ring.advance();
      // At once: the listener has copied it, and the reader may wait for room.
      ring.release();
      handled += 1;
    }
    if (Atomics.exchange(this.#state, LINK_STATE.SHARD_WAITS, 0) === 1) this.#readerDoorbell.ring();
    return handled;
  }

  #dispatch(index: number): void {
    const { bytes, words } = this.#ring;
    const w = index >> 2;
    // The same place in all of them.
    const fetchId = (words[w + out.DELIVER_STREAM_ID] as number) >>> 0;
    const listener = this.#listeners[shardOfFetch(fetchId)];
    if (listener === undefined) return;
    switch (words[w + 1]) {
      case out.OUTBOUND.DELIVER: {
        const start = index + out.DELIVER_FRAME;
        listener.onFetched(fetchId, bytes, start, start + (words[w + out.DELIVER_FRAME_BYTES] as number));
        break;
      }
      case out.OUTBOUND.PROGRESS:
        listener.onNothingThere(
          fetchId,
          readU64(words, w + out.PROGRESS_NEXT_OFFSET),
          words[w + out.PROGRESS_REASON] as number,
        );
        break;
      case out.OUTBOUND.NEEDS_CREDIT:
        listener.onNeedsBytes(fetchId, words[w + out.NEEDS_CREDIT_BYTES_NEEDED] as number);
        break;
      case out.OUTBOUND.READ_ERROR:
        listener.onFetchFailed(fetchId);
        break;
      default:
        throw new Error(`unknown record in a ring of what was fetched: type=${words[w + 1]}`);
    }
  }
}
