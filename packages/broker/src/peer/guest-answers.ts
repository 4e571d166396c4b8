import { BROKER_LIMITS } from "../limits.ts";

const TWO_32 = 0x1_0000_0000;

/**
 * What one guest has yet to read: bytes that its socket did not take, and what its reads under way may bring. A gateway of
 * this process is held up by the shards' outbound rings; a guest must not be, or it would hold up everybody. So its reads and
 * leases wait in its lanes while this is much. Reads are known by their stream, which has one under way at a time.
 */
export class GuestAnswers {
  /** By stream: the shard and the bytes, as one number. */
  readonly #reads: Map<number, number> = new Map();
  readonly #queuedBytes: () => number;
  #readBytes = 0;
  /** Something waits until there is less; cleared by whoever lets it try again. */
  isAwaited = false;

  /** @param queuedBytes bytes that wait for the guest's socket */
  constructor(queuedBytes: () => number) {
    this.#queuedBytes = queuedBytes;
  }

  hasRoom(): boolean {
    if (this.#queuedBytes() < BROKER_LIMITS.peerAnswerBytesMax) return true;
    this.isAwaited = true;
    return false;
  }

  /** Whether a read of so many bytes may go to its shard now; a lone one always may. */
  hasRoomFor(maxBytes: number): boolean {
    const owed = this.#queuedBytes() + this.#readBytes;
    if (owed === 0 || owed + countedBytes(maxBytes) <= BROKER_LIMITS.peerAnswerBytesMax) return true;
    this.isAwaited = true;
    return false;
  }

  asked(shardId: number, streamId: number, maxBytes: number): void {
    this.answered(streamId);
    const bytes = countedBytes(maxBytes);
    this.#reads.set(streamId, shardId * TWO_32 + bytes);
    this.#readBytes += bytes;
  }

  /** @returns whether this was the answer to a read */
  answered(streamId: number): boolean {
    const read = this.#reads.get(streamId);
    if (read === undefined) return false;
    this.#reads.delete(streamId);
    this.#readBytes -= read % TWO_32;
    return true;
  }

  /** Reads of that shard are not answered any more. */
  forgetShard(shardId: number): void {
    for (const [streamId, read] of this.#reads) {
      if (Math.floor(read / TWO_32) === shardId) this.answered(streamId);
    }
  }
}

function countedBytes(maxBytes: number): number {
  return Math.max(maxBytes, BROKER_LIMITS.peerReadBytesMin);
}
