import type { Topic } from "@millrace/broker/internal";
import {
  DELIVER_ENTRY_HEAD_BYTES,
  DELIVER_HEAD_BYTES,
  type RestorePoint,
  writeDeliverEntryHead,
  writeDeliverHead,
} from "@millrace/protocol";

export interface FakeEntry {
  readonly baseOffset: number;
  readonly count: number;
  readonly stored: Uint8Array;
  readonly timeMs: number;
}

/** A frame that was put together, in private memory. */
export interface FakeFrame {
  readonly bytes: Uint8Array;
  readonly firstOffset: number;
  readonly nextOffset: number;
}

/** The log of one partition: a plain array of batches. */
export class FakePartition {
  readonly topic: Topic;
  readonly partition: number;
  readonly entries: FakeEntry[] = [];
  /** Also those that retention has taken. */
  readonly allEntries: Map<number, FakeEntry> = new Map();
  logStartOffset = 0;
  highWatermark = 0;
  logEpoch = 1;
  restores: readonly RestorePoint[] = [];
  /** Reads below this offset are answered by the reader thread. */
  cacheStartOffset = 0;
  tailed = false;
  sharedStreamId = 0;
  tailOffset = 0;

  constructor(topic: Topic, partition: number) {
    this.topic = topic;
    this.partition = partition;
  }

  append(count: number, stored: Uint8Array, timeMs: number): number {
    const baseOffset = this.highWatermark;
    const entry = { baseOffset, count, stored, timeMs };
    this.entries.push(entry);
    this.allEntries.set(baseOffset, entry);
    this.highWatermark += count;
    return baseOffset;
  }

  /** Offsets that hold no records, as an unclean stop leaves them. */
  skip(count: number): void {
    this.highWatermark += count;
  }

  /** Records below `offset` are given up; the batch that holds it stays. */
  truncate(offset: number): void {
    if (offset <= this.logStartOffset) return;
    this.logStartOffset = offset;
    const kept = this.entries.filter((entry) => entry.baseOffset + entry.count > offset);
    this.entries.splice(0, this.entries.length, ...kept);
  }

  get retainedBytes(): number {
    return this.entries.reduce((bytes, entry) => bytes + entry.stored.length, 0);
  }

  /** The entry that holds `offset`, or the first one behind it. */
  entryAt(offset: number): FakeEntry | undefined {
    return this.entries.find((entry) => entry.baseOffset + entry.count > offset);
  }

  /** One frame of consecutive batches from `offset`, or the bytes that the first one needs. */
  frame(offset: number, streamId: number, maxBytes: number, atLeastOne: boolean): FakeFrame | number {
    const first = this.entries.findIndex((entry) => entry.baseOffset + entry.count > offset);
    const chosen: FakeEntry[] = [];
    let bytes = DELIVER_HEAD_BYTES;
    let next = (this.entries[first] as FakeEntry).baseOffset;
    for (const entry of this.entries.slice(first)) {
      const more = DELIVER_ENTRY_HEAD_BYTES + entry.stored.length;
      if (entry.baseOffset !== next) break;
      if (bytes + more > maxBytes && !(atLeastOne && chosen.length === 0)) {
        if (chosen.length === 0) return bytes + more;
        break;
      }
      chosen.push(entry);
      bytes += more;
      next = entry.baseOffset + entry.count;
    }
    const frame = new Uint8Array(bytes);
    writeDeliverHead(frame, 0, streamId, next, chosen.length);
    let at = DELIVER_HEAD_BYTES;
    for (const entry of chosen) {
      writeDeliverEntryHead(frame, at, entry.baseOffset, entry.count, entry.timeMs);
      frame.set(entry.stored, at + DELIVER_ENTRY_HEAD_BYTES);
      at += DELIVER_ENTRY_HEAD_BYTES + entry.stored.length;
    }
    return { bytes: frame, firstOffset: (chosen[0] as FakeEntry).baseOffset, nextOffset: next };
  }
}
