import { ENTRY_HEADER_BYTES, type GatewayHandler } from "@millrace/broker/internal";
import type { FakeFrame } from "./fake-partition.ts";

/** What the shard finds in its ring. Field offsets are those of the journal's entry, in 32 bit words. */
export interface FakePublish {
  readonly sessionId: number;
  readonly topicId: number;
  readonly partition: number;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly count: number;
  readonly checksum: number;
  readonly hasChecksum: boolean;
  readonly stored: Uint8Array;
}

export type ShardEvent = (handler: GatewayHandler) => void;

const RING_BYTES = 4_194_304;

/** A shard of a FakeNode, as its gateway sees it: two rings. */
export class FakeShard {
  readonly memory: Buffer = Buffer.from(new SharedArrayBuffer(RING_BYTES));
  readonly words: Int32Array = new Int32Array(this.memory.buffer);
  /** Commands in the order in which the gateway gave them. */
  inbox: (() => void)[] = [];
  /** Answers in the order in which the shard gave them, and those of the reader thread, which has its own ring. */
  outbox: ShardEvent[] = [];
  coldOutbox: ShardEvent[] = [];
  capacityBytes: number = Number.POSITIVE_INFINITY;
  usedBytes = 0;
  /** Records that its ring for consumers holds, and has room for. */
  consumerRecords = 0;
  consumerRecordsMax: number = Number.POSITIVE_INFINITY;
  waiting = false;
  down = false;
  claimed: { readonly index: number; readonly storedBytes: number } | undefined;
}

/** Takes what was committed out of the ring. */
export function readPublish(shard: FakeShard, index: number, storedBytes: number): FakePublish {
  const { words, memory } = shard;
  const w = index >> 2;
  const u32 = (word: number): number => (words[w + word] as number) >>> 0;
  const u64 = (word: number): number => u32(word) + u32(word + 1) * 2 ** 32;
  const start = index + ENTRY_HEADER_BYTES;
  const publish: FakePublish = {
    sessionId: u32(4),
    topicId: u32(8),
    partition: u32(9),
    count: u32(12),
    producerEpoch: u32(13),
    producerId: u64(16),
    baseSequence: u64(18),
    checksum: u32(20),
    hasChecksum: ((u32(2) >> 8) & 1) === 1,
    stored: Uint8Array.from(memory.subarray(start, start + storedBytes)),
  };
  memory.fill(0xee, index, start + storedBytes);
  return publish;
}

/** Hands a frame over as ring memory, and writes over it afterwards. */
export function deliverEvent(streamId: number, shared: boolean, frame: FakeFrame): ShardEvent {
  return (handler) => {
    const { bytes, firstOffset, nextOffset } = frame;
    const memory = Buffer.from(new SharedArrayBuffer(bytes.length + 64));
    memory.set(bytes, 40);
    handler.onDeliver(streamId, shared, firstOffset, nextOffset, memory, 40, bytes.length);
    memory.fill(0xee);
  };
}
