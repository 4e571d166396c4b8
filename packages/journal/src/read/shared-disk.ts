/** What a cold reader knows about the disk that it shares with those who write. One thread. */
export interface SharedDisk {
  /**
   * Somebody writes there, and waits for it. Reads then go past the page cache where they can; otherwise through it, where
   * the kernel reads ahead and is faster.
   */
  isBusy(): boolean;
  /** Bytes that this thread has made the disk read so far, ahead or not: what comes from memory does not count. */
  bytesRead(): number;
  /** Undefined: nobody reads ahead. */
  readonly slots: AheadSlots | undefined;
}

/**
 * Pieces of memory that somebody else fills from files while this thread goes on. A slot is free, or being filled; whoever
 * begins with one knows what was in it before. One thread, but for the filling.
 */
export interface AheadSlots {
  readonly count: number;
  readonly slotBytes: number;
  /** Has a free slot filled with at most slotBytes. @returns false when nobody will */
  begin(slot: number, fd: number, position: number, length: number): boolean;
  isPending(slot: number): boolean;
  /** Waits until the slot is filled. @returns bytes in it, 0 after an error or when it takes too long */
  finish(slot: number): number;
  bytes(slot: number): Buffer;
  /** The same memory. */
  words(slot: number): Int32Array;
}
