import type { OneToOneRingBuffer } from "../ring/one-to-one-ring-buffer.ts";
import { INSUFFICIENT_CAPACITY, type MessageHandler } from "../ring/ring-buffer.ts";
import { type ChannelDescriptor, type ChannelOptions, describeChannel } from "./channel-descriptor.ts";
import { ChannelEnd } from "./channel-end.ts";
import { spaceFor } from "./channel-layout.ts";
import { ChannelLoop, type RecordsOptions } from "./channel-loop.ts";
import type { CloseReason } from "./channel-promises.ts";
import { ChannelSleep } from "./channel-sleep.ts";

/**
 * Outcome of `tryClaim` and `write`: this end or the other is closed, or the other's thread has ended. Nobody would read the record;
 * stop writing.
 */
export const CHANNEL_CLOSED: number = -3;

/**
 * One end of a two-way connection between two threads: a ring and a doorbell for each direction, and a MessagePort for pokes.
 *
 * Each end belongs to one thread, and may be used in one of two ways at a time, whatever the other end does:
 * - a thread that may block: `read`, then `wait` until there is more; `waitForSpace` when the ring is full;
 * - an event loop: `onRecords` is handed the records; `await whenSpace()` when the ring is full.
 *
 * Writing is the same for both: `write`, or `tryClaim`, fill in `outbound.bytes`, `commit`; then `flush`, which makes visible what was
 * committed and wakes the other end. The waits, `close` and the end of each turn of `onRecords` flush by themselves.
 *
 * An end that is closed, or whose thread ends however abruptly, closes the other after that has read all that was flushed.
 *
 * It keeps its thread alive as a MessagePort with listeners does: from `onRecords` on, and as long as a promise of `connected` or
 * `whenSpace` is pending, until it is closed or `unref` is called. An end that only blocks keeps nothing alive.
 */
export class Channel {
  /** Where this end writes; its `bytes` are where claims are filled in place. */
  readonly outbound: OneToOneRingBuffer;
  /** Where this end reads; its `bytes` are what a handler's index points into. Reading past the channel would not tell a peer of space. */
  readonly inbound: OneToOneRingBuffer;

  private readonly end: ChannelEnd;
  private readonly loop: ChannelLoop;
  private readonly sleeper: ChannelSleep;

  /**
   * A new channel, with one end in this thread. The other is connected by whichever thread `remote` is sent to; what is written
   * before that waits for it.
   *
   * @throws RangeError for a capacity out of bounds.
   */
  static create(options: ChannelOptions = {}): { local: Channel; remote: ChannelDescriptor } {
    const [local, remote] = describeChannel(options);
    return { local: new Channel(local), remote };
  }

  /** A new channel between two other threads. @throws RangeError for a capacity out of bounds. */
  static allocate(options: ChannelOptions = {}): [ChannelDescriptor, ChannelDescriptor] {
    return describeChannel(options);
  }

  /**
   * The end that `descriptor` describes, in the thread that it was sent to. Once for each descriptor.
   *
   * @throws TypeError when it is none, has another version, or came without its port; RangeError when its memory was cut or does
   * not belong together; Error when it has been connected before.
   */
  static connect(descriptor: ChannelDescriptor): Channel {
    return new Channel(descriptor);
  }

  private constructor(descriptor: ChannelDescriptor) {
    const end = new ChannelEnd(descriptor);
    this.end = end;
    this.outbound = end.outbound;
    this.inbound = end.inbound;
    this.loop = new ChannelLoop(end);
    this.sleeper = new ChannelSleep(end);
  }

  /** Longest payload in bytes, in both directions: an eighth of the capacity less 8. */
  get maxMessageLength(): number {
    return this.outbound.maxMessageLength;
  }

  /** Whether both ends are connected and, as far as this one has noticed, open. */
  get isConnected(): boolean {
    return this.end.isConnected();
  }

  /**
   * Event loop: resolves when the other end is connected; rejects when this end is closed, or the other's thread ends, before that.
   * Nothing has to wait for it.
   */
  get connected(): Promise<void> {
    const promise = this.end.connection.promise;
    this.end.look();
    this.loop.updateKeep();
    return promise;
  }

  /** Nothing more will be read here, nor written: this end was closed, or the other has ended and all that it flushed was read. */
  get closed(): boolean {
    this.end.checkEnd();
    return this.end.finished;
  }

  /**
   * Opens a record for filling in place. One claim at a time; nothing is visible before commit and flush.
   *
   * @param type a positive int32 of the caller's choice.
   * @param length of the payload in bytes, 0 to `maxMessageLength`.
   * @returns the payload's index in `outbound.bytes`; INSUFFICIENT_CAPACITY when the ring is full (what was committed is flushed then);
   * CHANNEL_CLOSED.
   * @throws RangeError for a type or length out of bounds, Error while another claim is open.
   */
  tryClaim(type: number, length: number): number {
    if (!this.end.open) return CHANNEL_CLOSED;
    const index = this.outbound.tryClaim(type, length);
    return index >= 0 ? index : this.full();
  }

  /** Ends the claim; the record goes with the next flush, or earlier when much is waiting. @throws Error */
  commit(index: number): void {
    this.outbound.commit(index);
  }

  /** As `commit`, for a payload that turned out shorter than claimed. @throws Error, RangeError */
  commitLength(index: number, length: number): void {
    this.outbound.commitLength(index, length);
  }

  /** Ends the claim without a record. @throws Error */
  abort(index: number): void {
    this.outbound.abort(index);
  }

  /** Claims a record, copies `bytes` into it and commits it. @returns and @throws as `tryClaim`. */
  write(type: number, bytes: Uint8Array): number {
    if (!this.end.open) return CHANNEL_CLOSED;
    const index = this.outbound.write(type, bytes);
    return index >= 0 ? index : this.full();
  }

  /** Makes visible what was committed, and wakes the other end if it sleeps. @returns whether there was anything. */
  flush(): boolean {
    return this.end.flush();
  }

  /**
   * Hands the records that have come to `handler`, and gives their space back when it is through. A record whose handler throws
   * counts as read; the error reaches the caller. The handler may write, flush and close, but not read.
   *
   * @param handler gets the type, and index and length of the payload in `inbound.bytes`, which is valid during the call.
   * @param limit most records; what was there when the call began unless told otherwise.
   * @returns the number of records handled.
   */
  read(handler: MessageHandler, limit: number = Number.MAX_SAFE_INTEGER): number {
    return this.end.read(handler, limit);
  }

  /**
   * Thread that may block: flushes, then sleeps until there is something to read, the channel is closed, or `timeoutMs` (0: only
   * looks) have passed. A peer whose thread has ended without closing is noticed within a second, where the platform tells.
   *
   * @returns whether there is something to read.
   * @throws RangeError for NaN; Error while the event loop is in use; TypeError where blocking is forbidden, as on a browser's main thread.
   */
  wait(timeoutMs: number = Number.POSITIVE_INFINITY): boolean {
    return this.block(timeoutMs, 0);
  }

  /**
   * Thread that may block: flushes, then sleeps until a record of `length` fits, the channel is closed, or `timeoutMs` have passed. It
   * does not read meanwhile: two ends that both wait for space, with both rings full, wait for each other.
   *
   * @param length of the payload; the longest unless told otherwise, which lets a quarter of the ring become free before it wakes.
   * @returns whether there is space.
   * @throws as `wait`, and RangeError for a length out of bounds.
   */
  waitForSpace(
    timeoutMs: number = Number.POSITIVE_INFINITY,
    length: number = this.maxMessageLength,
  ): boolean {
    return this.block(timeoutMs, this.spaceNeeded(length));
  }

  /**
   * Event loop: flushes; resolves with true when a record of `length` fits, with false when the channel is closed.
   *
   * @param length as for `waitForSpace`. @throws RangeError for a length out of bounds.
   */
  whenSpace(length: number = this.maxMessageLength): Promise<boolean> {
    const bytes = this.spaceNeeded(length);
    const end = this.end;
    end.flush();
    end.look();
    if (!end.open) return Promise.resolve(false);
    return end.isReady(bytes) ? Promise.resolve(true) : this.loop.awaitSpace(bytes);
  }

  /**
   * Event loop: from now on `handler` is handed the records as they come, at most `limit` in one go. After each go the channel is flushed.
   *
   * @param handler as for `read`.
   * @returns ends it; what comes then waits for another reader.
   * @throws Error when there is a handler already; RangeError for a limit below 1.
   */
  onRecords(handler: MessageHandler, options: RecordsOptions = {}): () => void {
    return this.loop.handTo(handler, options);
  }

  /**
   * `listener` is called once, from the event loop, when the channel is `closed`: "local" for this end's `close`, "remote" for that of
   * the other end, "lost" when the other's thread ended without.
   */
  onClose(listener: (reason: CloseReason) => void): void {
    this.end.listeners.add(listener);
  }

  /** Flushes, and closes this end: the other reads what was flushed and is closed then. What it sent and was not read is dropped. */
  close(): void {
    if (this.end.finished) return;
    this.end.look();
    this.end.flush();
    this.end.finish("local");
  }

  /** Undoes `unref`. */
  ref(): void {
    this.loop.keep(true);
  }

  /** From now on this end never keeps its thread alive. */
  unref(): void {
    this.loop.keep(false);
  }

  private full(): number {
    // A peer that sleeps with a full ring before it was never rung for: the ring publishes long runs by itself.
    this.end.flush();
    this.end.look();
    return this.end.open ? INSUFFICIENT_CAPACITY : CHANNEL_CLOSED;
  }

  private spaceNeeded(length: number): number {
    if (length >>> 0 !== length || length > this.maxMessageLength) {
      throw new RangeError(`length must be from 0 to ${this.maxMessageLength}: length=${length}`);
    }
    return spaceFor(length);
  }

  private block(timeoutMs: number, bytes: number): boolean {
    if (this.loop.isUsed) {
      throw new Error("an end whose event loop has onRecords or a pending whenSpace must not block");
    }
    return this.sleeper.sleep(timeoutMs, bytes);
  }
}
