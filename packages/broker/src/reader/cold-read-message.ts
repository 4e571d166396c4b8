import type { JournalLocation } from "@millrace/journal";
import type { SettledPart } from "@millrace/journal/internal";
import { Packr } from "msgpackr";

const packr = new Packr({ useRecords: false });

/** Type of the only kind of record in a ring from a shard thread to the reader thread. */
export const COLD_READ = 1;

/** What the reader thread is asked for: MessagePack in its request ring. */
export interface ColdReadMessage {
  readonly kind: "read" | "fetch" | "time" | "barrier";
  /** read: streamId of the answer. fetch: the same for a shard. time, barrier: requestId of the reply. */
  readonly id: number;
  readonly shardId: number;
  readonly topicId: number;
  readonly partition: number;
  /** read, fetch: first offset wanted. time: unused. */
  readonly offset: number;
  /** Entries from this offset on are not to be shown. */
  readonly limitOffset: number;
  readonly timeMs: number;
  readonly maxBytes: number;
  readonly logEpoch: number;
  /** Journal position up to which entries are written. */
  readonly endPosition: number;
  /** Undefined: nothing of what is wanted is settled. */
  readonly settled?: SettledPart | undefined;
  /** In the journal, where to go on behind the settled files. Undefined: nothing at or behind the offset. */
  readonly location: JournalLocation | undefined;
}

export function encodeColdRead(message: ColdReadMessage): Uint8Array {
  return packr.pack(message);
}

export function decodeColdRead(bytes: Uint8Array): ColdReadMessage {
  return packr.unpack(bytes) as ColdReadMessage;
}
