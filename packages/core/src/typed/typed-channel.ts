import type { Channel } from "../channel/channel.ts";
import { copyBytes } from "../copy-bytes.ts";
import type { Codec } from "./codec.ts";

/** Type of the records that carry values. Others on the same channel are reported to `onError`. */
export const VALUE_RECORD_TYPE = 1;

/** Bytes of the first scratch memory; it doubles as records need it, up to the longest. */
const SCRATCH_BYTES = 4096;

export interface TypedChannelOptions<Send, Receive> {
  /** For what this end sends; the other end's `receive`. */
  readonly send: Codec<Send>;
  /** For what this end receives; the other end's `send`. */
  readonly receive: Codec<Receive>;
  /**
   * Is told what the decoder throws, of records that carry no value, and what a handler of `onMessage` throws. The record counts as read,
   * the rest goes on.
   */
  readonly onError: (error: unknown) => void;
}

/**
 * One end of a channel that carries values instead of bytes. Everything but sending and receiving is done with `channel`: waits, `closed`,
 * `onClose`, `close`, and what each kind of thread may call.
 */
export class TypedChannel<Send, Receive> {
  readonly channel: Channel;
  private readonly codec: Codec<Send>;
  private readonly decoder: Codec<Receive>;
  private readonly onError: (error: unknown) => void;
  private scratch: Uint8Array;

  constructor(channel: Channel, options: TypedChannelOptions<Send, Receive>) {
    this.channel = channel;
    this.codec = options.send;
    this.decoder = options.receive;
    this.onError = options.onError;
    this.scratch = allocateScratch(Math.min(SCRATCH_BYTES, channel.maxMessageLength));
  }

  /**
   * Writes a value, which goes with the next `flush`.
   *
   * @returns false when it was not written: the ring is full (`await channel.whenSpace()` or `channel.waitForSpace()`, and send it again) or
   * the channel closed, which those two answer with false.
   * @throws RangeError when its bytes exceed what a record holds, an eighth of the capacity less 8; what the codec throws.
   */
  send(value: Send): boolean {
    const { channel } = this;
    const bytes = this.codec.encode(value);
    if (bytes.length > channel.maxMessageLength) {
      throw new RangeError(
        `the value does not fit into a record: bytes=${bytes.length} maxMessageLength=${channel.maxMessageLength} ` +
          `capacity=${channel.outbound.capacity}`,
      );
    }
    return channel.write(VALUE_RECORD_TYPE, bytes) >= 0;
  }

  /** Makes visible what was sent, and wakes the other end if it sleeps. @returns whether there was anything. */
  flush(): boolean {
    return this.channel.flush();
  }

  /**
   * Hands the values that have come to `handler`; what it throws reaches the caller, and the value counts as read.
   *
   * @param limit most records. @returns the number of records, those without a value included.
   */
  read(handler: (value: Receive) => void, limit?: number): number {
    return this.channel.read((type, index, length) => this.hand(handler, type, index, length), limit);
  }

  /** Event loop: from now on `handler` is handed the values as they come. @returns ends it. @throws as `Channel.onRecords`. */
  onMessage(handler: (value: Receive) => void, options: { readonly limit?: number } = {}): () => void {
    return this.channel.onRecords((type, index, length) => this.hand(handler, type, index, length), {
      ...options,
      onError: this.onError,
    });
  }

  private hand(handler: (value: Receive) => void, type: number, index: number, length: number): void {
    let value: Receive;
    try {
      value = this.decode(type, index, length);
    } catch (error) {
      this.onError(error);
      return;
    }
    handler(value);
  }

  private decode(type: number, index: number, length: number): Receive {
    if (type !== VALUE_RECORD_TYPE) {
      throw new TypeError(`not a value: type=${type} expected=${VALUE_RECORD_TYPE} length=${length}`);
    }
    if (this.scratch.length < length) {
      this.scratch = allocateScratch(
        Math.min(Math.max(length, 2 * this.scratch.length), this.channel.maxMessageLength),
      );
    }
    copyBytes(this.scratch as Buffer, 0, this.channel.inbound.bytes, index, length);
    return this.decoder.decode(this.scratch, length);
  }
}

function allocateScratch(bytes: number): Uint8Array {
  // A plain Buffer.alloc: slices of Node's pool would share memory with strangers.
  return typeof Buffer === "undefined" ? new Uint8Array(bytes) : Buffer.alloc(bytes);
}
