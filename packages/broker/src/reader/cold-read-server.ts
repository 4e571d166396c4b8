import type { OneToOneRingBuffer } from "@millrace/core";
import { ERROR_CODES, MillraceError } from "@millrace/protocol";
import { DELIVER_ENTRY_HEAD_BYTES, DELIVER_HEAD_BYTES, writeDeliverHead } from "@millrace/protocol/internal";
import { Packr } from "msgpackr";
import { BROKER_LIMITS } from "../limits.ts";
import { DELIVER_FRAME, OUTBOUND, PROGRESS_DAMAGE, PROGRESS_GAP } from "../link/outbound-layout.ts";
import {
  commitDeliver,
  writeNeedsCredit,
  writeProgress,
  writeReadError,
  writeReply,
} from "../shard/shard-link.ts";
import type { ColdReadMessage } from "./cold-read-message.ts";

const packr = new Packr({ useRecords: false });
const RING_HEADER_BYTES = 8;

/** The read has been done; `findTime` found nothing in its turn and goes on with the next call for the same. */
export const READ = 0;
export const UNFINISHED = -1;
/** What was to be read was settled or dropped in the meantime: the shard knows where it is now. */
export const MOVED = -2;

/** What one read found; the journal's cold reader fills it. Valid until the next read. */
export interface ColdReadResult {
  /** Bytes of DELIVER entries written to the target; 0 when none fit or there are none. */
  bytes: number;
  entryCount: number;
  /** Base offset of the first entry found, also if it did not fit; -1 when there is none below the limit. */
  firstOffset: number;
  /** The entry at firstOffset was damaged and erased by a repair: one past its last record. Else -1. */
  erasedEnd: number;
  /** One past the last record written. */
  nextOffset: number;
  /** Bytes that the first entry takes in a target when it did not fit, else 0. */
  bytesNeeded: number;
  /** Nothing stands at the offset, and files have changed meanwhile: what was asked for may have been dropped. */
  mayBeDropped: boolean;
  /** Unless it is READ nothing else here counts. */
  state: typeof READ | typeof UNFINISHED | typeof MOVED;
}

export const NO_ENTRIES: Readonly<ColdReadResult> = {
  bytes: 0,
  entryCount: 0,
  firstOffset: -1,
  erasedEnd: -1,
  nextOffset: 0,
  bytesNeeded: 0,
  mayBeDropped: false,
  state: READ,
};

/** Reads entries that have left the tail cache. Throws MillraceError where they are damaged or unreadable. */
export interface ColdEntries {
  read(message: ColdReadMessage, target: Buffer, targetStart: number, maxBytes: number): ColdReadResult;
  /** The base offset of the first entry appended at or after message.timeMs; limitOffset when there is none; or UNFINISHED. */
  findTime(message: ColdReadMessage): number;
  /** Files are held open, which takes room on the disk when they are removed. */
  readonly holdsFiles: boolean;
  /** Closes files that were not used since the last call. */
  closeIdle(): void;
}

/** An answer that stands ready in the ring, for a read that has not been asked for yet. */
interface ReadyAnswer {
  readonly message: ColdReadMessage;
  /** Of the open claim. */
  readonly index: number;
  readonly result: ColdReadResult;
}

/** Answers cold reads into one ring, to a gateway or a shard thread, in the gateway's terms. Reader thread only. */
export class ColdReadServer {
  readonly #entries: ColdEntries;
  readonly #ring: OneToOneRingBuffer;
  readonly #log: (event: string, fields: Record<string, unknown>) => void;
  #isUnfinished = false;
  /** What the stream that was answered last will ask for if it goes on. */
  #expected: ColdReadMessage | undefined;
  #ready: ReadyAnswer | undefined;

  constructor(
    entries: ColdEntries,
    ring: OneToOneRingBuffer,
    log: (event: string, fields: Record<string, unknown>) => void,
  ) {
    this.#entries = entries;
    this.#ring = ring;
    this.#log = log;
  }

  /** The last message is not answered because its search takes long, not because the ring is full. */
  get isUnfinished(): boolean {
    return this.#isUnfinished;
  }

  /** False: not answered; serve the same message again, when the ring has room or after others had their turn. */
  serve(message: ColdReadMessage): boolean {
    this.#isUnfinished = false;
    const ready = this.#takeReady(message);
    if (ready !== undefined) {
      this.#deliver(message, ready.index, ready.result);
      return true;
    }
    if (message.kind === "barrier") return writeReply(this.#ring, message.id, packr.pack([0, null]));
    return message.kind === "time" ? this.#findTime(message) : this.#read(message);
  }

  /**
   * While nobody waits: reads what the stream that was answered last will ask for next, so that a lone replay does not
   * pay for the way from its gateway and back. What was read in vain is overwritten by the next answer.
   * @returns whether there was something to read
   */
  readAhead(): boolean {
    const message = this.#expected;
    this.#expected = undefined;
    if (message === undefined || this.#ready !== undefined) return false;
    const maxBytes = this.#frameBytes(message);
    const index = this.#ring.tryClaim(OUTBOUND.DELIVER, DELIVER_FRAME - RING_HEADER_BYTES + maxBytes);
    if (index < 0) return false;
    try {
      const result = this.#readInto(message, index, maxBytes);
      if (result.state === READ && result.bytes > 0 && result.firstOffset <= message.offset) {
        this.#ready = { message, index, result: { ...result } };
        return true;
      }
    } catch (error) {
      // Whoever asks for it meets the error again, and is told.
      if (!(error instanceof MillraceError)) throw error;
    }
    this.#ring.abort(index);
    return true;
  }

  /** The answer that stands ready if it is the message's; any other makes way, as a ring has one open claim. */
  #takeReady(message: ColdReadMessage): ReadyAnswer | undefined {
    const ready = this.#ready;
    if (ready === undefined) return undefined;
    this.#ready = undefined;
    const { offset, limitOffset, logEpoch } = message;
    const expected = ready.message;
    const isWanted =
      goesOnWith(expected, message) &&
      offset === expected.offset &&
      logEpoch === expected.logEpoch &&
      limitOffset >= ready.result.nextOffset &&
      this.#frameBytes(message) >= DELIVER_HEAD_BYTES + ready.result.bytes;
    if (isWanted) return ready;
    this.#ring.abort(ready.index);
    return undefined;
  }

  #frameBytes({ maxBytes }: ColdReadMessage): number {
    return Math.min(Math.max(maxBytes, 0), this.#ring.maxMessageLength - DELIVER_FRAME);
  }

  #readInto(message: ColdReadMessage, index: number, maxBytes: number): ColdReadResult {
    const entries = index - RING_HEADER_BYTES + DELIVER_FRAME + DELIVER_HEAD_BYTES;
    return this.#entries.read(message, this.#ring.bytes, entries, maxBytes - DELIVER_HEAD_BYTES);
  }

  #deliver(message: ColdReadMessage, index: number, result: Readonly<ColdReadResult>): void {
    const ring = this.#ring;
    const { id, settled, limitOffset } = message;
    const { bytes, entryCount, firstOffset, nextOffset } = result;
    const frame = index - RING_HEADER_BYTES + DELIVER_FRAME;
    writeDeliverHead(ring.bytes, frame, id, nextOffset, entryCount);
    commitDeliver(ring, frame, id, false, firstOffset, nextOffset, DELIVER_HEAD_BYTES + bytes);
    // Only what is settled can be found without the shard.
    const goesOn = settled !== undefined && nextOffset < Math.min(settled.endOffset, limitOffset);
    this.#expected = goesOn ? { ...message, offset: nextOffset } : undefined;
  }

  #read(message: ColdReadMessage): boolean {
    const ring = this.#ring;
    const maxBytes = this.#frameBytes(message);
    const index = ring.tryClaim(OUTBOUND.DELIVER, DELIVER_FRAME - RING_HEADER_BYTES + maxBytes);
    if (index < 0) return false;
    let result: ColdReadResult;
    try {
      result = this.#readInto(message, index, maxBytes);
    } catch (error) {
      ring.abort(index);
      return this.#failed(message, error);
    }
    if (result.state !== READ) {
      ring.abort(index);
      this.#isUnfinished = result.state === UNFINISHED;
      // Progress to where the stream is: it asks the shard again, which knows more by now.
      return result.state === MOVED && writeProgress(ring, message.id, message.offset, PROGRESS_GAP);
    }
    if (result.bytes > 0 && result.firstOffset <= message.offset) {
      this.#deliver(message, index, result);
      return true;
    }
    ring.abort(index);
    // Whether that is retention or a gap is the shard's to say: it has moved the start of the log before files go.
    if (result.mayBeDropped) return writeProgress(ring, message.id, message.offset, PROGRESS_GAP);
    if (result.bytesNeeded > 0 && result.firstOffset <= message.offset) {
      const needed = DELIVER_HEAD_BYTES + result.bytesNeeded;
      return writeNeedsCredit(ring, message.id, needed);
    }
    if (result.erasedEnd > message.offset && result.firstOffset <= message.offset) {
      return writeProgress(ring, message.id, result.erasedEnd, PROGRESS_DAMAGE);
    }
    // Nothing stands at the offset: say where it goes on.
    const next =
      result.firstOffset < 0 ? message.limitOffset : Math.min(result.firstOffset, message.limitOffset);
    return writeProgress(ring, message.id, next, PROGRESS_GAP);
  }

  #findTime(message: ColdReadMessage): boolean {
    let reply: unknown;
    try {
      const offset = this.#entries.findTime(message);
      if (offset === UNFINISHED) {
        this.#isUnfinished = true;
        return false;
      }
      reply = [0, offset];
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      this.#log("cold-read-failed", { ...describe(message), code: error.code, error: error.message });
      reply = [ERROR_CODES.READ_FAILED.code, error.message, error.details];
    }
    return writeReply(this.#ring, message.id, packr.pack(reply));
  }

  #failed(message: ColdReadMessage, error: unknown): boolean {
    if (!(error instanceof MillraceError)) throw error;
    const answered = writeReadError(
      this.#ring,
      message.id,
      ERROR_CODES.READ_FAILED.code,
      message.offset,
      message.limitOffset,
      message.logEpoch,
    );
    if (answered) {
      this.#log("cold-read-failed", { ...describe(message), code: error.code, error: error.message });
    }
    return answered;
  }
}

/** Whether `message` may go on where `previous` ended: each fetch of a partition has an id of its own. */
function goesOnWith(previous: ColdReadMessage, message: ColdReadMessage): boolean {
  const { kind, id, shardId, topicId, partition } = message;
  if (kind !== previous.kind || kind === "time" || kind === "barrier") return false;
  if (kind === "read") return id === previous.id;
  return shardId === previous.shardId && topicId === previous.topicId && partition === previous.partition;
}

function describe(message: ColdReadMessage): Record<string, unknown> {
  const { shardId, topicId, partition, offset } = message;
  return { shardId, topicId, partition, offset };
}

if (BROKER_LIMITS.deliverBytesTarget < DELIVER_HEAD_BYTES + DELIVER_ENTRY_HEAD_BYTES) {
  throw new RangeError("deliverBytesTarget must have room for a head");
}
