import { BatchBuilder, FRAME_TYPE } from "@millrace/protocol/internal";
import { maskedHeadBytes, writeMaskedFrame } from "./masked-frame.ts";

/** What the frames of a block look like. */
export interface PublishShape {
  /** The frames go to these topics in turn, partition 0. */
  readonly topicIds: readonly number[];
  readonly valueBytes: number;
  /** A frame's batch holds as many records as fit into so many bytes, at least one. */
  readonly batchBytes: number;
  /** Each record has one of so many keys, at random; no keys if left out. */
  readonly keys?: number | undefined;
}

/**
 * PUBLISH frames, encoded and masked once, then written over and over. All of them are equally long, so that
 * any run of whole frames is one write. The producer is 0, which is not idempotent: its sequences only
 * correlate acks, so they may begin again with each pass over the block. Within the block they go up, as a
 * real producer's do, and the broker can answer a run of frames with one range.
 */
export interface PublishBlock {
  /** Frame i goes to topicIds[i % topicIds.length]. */
  readonly topicIds: readonly number[];
  readonly bytes: Buffer;
  readonly frames: number;
  /** Of one frame on the wire, WebSocket head included. */
  readonly wireBytes: number;
  /** Of one frame without the WebSocket head: what it takes from the publish credit. */
  readonly frameBytes: number;
  /** Of one frame's stored payload: the batch and its checksum, which the journal writes. */
  readonly payloadBytes: number;
  readonly recordsPerFrame: number;
}

/**
 * [16, topicId, partition, producerId, producerEpoch, baseSequence, then batch and checksum: the stored payload].
 * topicId and baseSequence take five bytes whatever their value, so that all frames are equally long.
 */
const HEAD_BYTES = 15;
const FRAME_ELEMENTS = 0x98;
const UINT_32 = 0xce;

export function buildPublishBlock(shape: PublishShape, blockBytes: number): PublishBlock {
  const builder = new BatchBuilder(shape.batchBytes);
  const value = Buffer.alloc(shape.valueBytes);
  const { keys = 0 } = shape;
  const first = fillBatch(builder, value, keys, 0);
  const recordsPerFrame = builder.count;
  const payloadBytes = first.length;
  const frameBytes = HEAD_BYTES + payloadBytes;
  const wireBytes = maskedHeadBytes(frameBytes) + frameBytes;
  const { topicIds } = shape;
  // Whole turns, so that the block's end is followed by its beginning.
  const turns = Math.max(1, Math.floor(blockBytes / wireBytes / topicIds.length));
  const frames = turns * topicIds.length;
  // Its own pages: a pooled buffer would be copied from an odd address.
  const bytes = Buffer.allocUnsafeSlow(frames * wireBytes);
  const frame = Buffer.alloc(frameBytes);
  for (let index = 0; index < frames; index++) {
    const sequence = Math.floor(index / topicIds.length) * recordsPerFrame;
    writeHead(frame, topicIds[index % topicIds.length] as number, sequence);
    frame.set(fillBatch(builder, value, keys, index * recordsPerFrame), HEAD_BYTES);
    writeMaskedFrame(bytes, index * wireBytes, frame);
  }
  return { topicIds, bytes, frames, wireBytes, frameBytes, payloadBytes, recordsPerFrame };
}

function writeHead(frame: Buffer, topicId: number, baseSequence: number): void {
  frame.set([FRAME_ELEMENTS, FRAME_TYPE.PUBLISH, UINT_32]);
  frame.writeUInt32BE(topicId, 3);
  frame.set([0, 0, 0, UINT_32], 7);
  frame.writeUInt32BE(baseSequence, 11);
}

/** The stored payload of a full batch whose first record is number `sequence`; a view of the builder. */
function fillBatch(builder: BatchBuilder, value: Buffer, keys: number, sequence: number): Uint8Array {
  builder.reset();
  for (;;) {
    const number = sequence + builder.count;
    fillValue(value, number);
    const record = keys === 0 ? { value } : { key: keyOf(number, keys), value };
    if (!builder.append(record)) return builder.finish();
  }
}

/** All keys are equally long, so that all frames are. */
function keyOf(number: number, keys: number): string {
  const mixed = Math.imul(number + 1, 2_654_435_761) >>> 0;
  const key = (Math.imul(mixed ^ (mixed >>> 15), 2_246_822_519) >>> 0) % keys;
  return `key-${String(key).padStart(7, "0")}`;
}

/** Bytes that differ from record to record. */
function fillValue(value: Buffer, seed: number): void {
  let state = seed + 1;
  for (let index = 0; index < value.length; index++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) | 0;
    value[index] = state >>> 24;
  }
}
