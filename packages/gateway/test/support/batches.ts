import { BatchBuilder, encodeFrame, type Frame, FrameWriter, LIMITS } from "@millrace/protocol";

const writer = new FrameWriter();

/** The bytes of a frame. */
export function frameBytes(frame: Frame): Uint8Array {
  writer.reset();
  encodeFrame(writer, frame);
  return writer.take();
}

/** A stored payload of these values. */
export function storedBatch(...values: readonly (string | Uint8Array)[]): Uint8Array {
  const builder = new BatchBuilder(LIMITS.batchBytesMax);
  for (const value of values) builder.appendValue(value);
  return Uint8Array.from(builder.finish());
}

/** A PUBLISH frame of these values, as a client builds it: its tail is the stored payload. */
export function publishFrame(
  topicId: number,
  partition: number,
  baseSequence: number,
  values: readonly (string | Uint8Array)[],
  producerId = 7,
): Uint8Array {
  const builder = new BatchBuilder(LIMITS.batchBytesMax);
  for (const value of values) builder.appendValue(value);
  return Uint8Array.from(builder.finishPublish(topicId, partition, producerId, 0, baseSequence));
}

/** The same sequence of numbers of 0..1 for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
