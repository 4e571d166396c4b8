import { checkRecord, copyStraight, patternSum, STRAIGHT_BYTES, sourceRecord } from "./record-check.ts";
import { NO_TIMER, waitingOf } from "./ring-carriers.ts";
import type { CarrierSides, CopyVariant, TransferSetup, TransferSpec } from "./transfer-spec.ts";

/**
 * The limit: a bare loop that copies records of one fixed length into consecutive slots of shared memory and publishes how
 * many there are, in batches. No headers, no types, no lengths, no checks, nobody else's code. The other side reads them
 * where they lie. Positions count records.
 */

/** Words of tail and head, in bytes from the start of the buffer; slots begin at SLOTS_START. */
const TAIL_BYTE = 128;
const HEAD_BYTE_APART = 256;
const HEAD_BYTE_ADJACENT = 132;
const SLOTS_START = 384;

/** What copies records of this length fastest on Node 20; see the row about alignment. */
const SET_BYTES_MAX = 1024;

export const copyLoopSides: CarrierSides = {
  allocate: ({ capacityBytes }) => new SharedArrayBuffer(SLOTS_START + capacityBytes),
  producer: ({ spec, memory }: TransferSetup) => {
    const { recordBytes, batchRecords } = spec;
    const variant = variantOf(spec);
    const { tail, head } = positionWords(memory, variant);
    const slots = slotsOf(spec);
    const copy = copyKernel(variant.kernel, memory, recordBytes);
    const { bytes, words } = sourceAt(recordBytes, variant.shiftBytes);
    const { caches } = variant;
    const aligned = variant.shiftBytes === 0;
    const idle = waitingOf(spec);
    let headSeen = 0;
    return (first, count) => {
      for (let sequence = first; sequence < first + count; ) {
        const end = Math.min(sequence + batchRecords, first + count);
        for (; sequence < end; sequence++) {
          if (!caches) headSeen = Atomics.load(head, 0);
          while (sequence - headSeen >= slots) {
            // A batch may be larger than the buffer.
            Atomics.store(tail, 0, sequence);
            headSeen = Atomics.load(head, 0);
            if (sequence - headSeen >= slots) idle.idle(0, NO_TIMER);
          }
          if (aligned) words[0] = sequence;
          else setSequence(bytes, sequence);
          copy(bytes, words, (sequence & (slots - 1)) * recordBytes);
        }
        Atomics.store(tail, 0, sequence);
      }
    };
  },
  consumer: ({ spec, memory }: TransferSetup) => {
    const { recordBytes } = spec;
    const { tail, head } = positionWords(memory, variantOf(spec));
    const slots = slotsOf(spec);
    const words = new Int32Array(memory, SLOTS_START);
    const recordWords = recordBytes >> 2;
    const pattern = patternSum(recordBytes);
    let position = 0;
    return () => {
      const published = Atomics.load(tail, 0);
      const from = position;
      if (published === from) return 0;
      for (; position < published; position++) {
        checkRecord(words, (position & (slots - 1)) * recordWords, recordWords, position, pattern);
      }
      Atomics.store(head, 0, position);
      return position - from;
    };
  },
};

function variantOf({ copy, recordBytes }: TransferSpec): CopyVariant {
  if (copy !== undefined) return copy;
  const kernel = recordBytes === STRAIGHT_BYTES ? "straight" : recordBytes <= SET_BYTES_MAX ? "set" : "fill";
  return { lines: "apart", caches: true, kernel, shiftBytes: 0 };
}

function slotsOf({ capacityBytes, recordBytes }: TransferSpec): number {
  return capacityBytes / recordBytes;
}

function positionWords(
  memory: SharedArrayBuffer,
  variant: CopyVariant,
): { tail: Int32Array; head: Int32Array } {
  const headByte = variant.lines === "apart" ? HEAD_BYTE_APART : HEAD_BYTE_ADJACENT;
  return { tail: new Int32Array(memory, TAIL_BYTE, 1), head: new Int32Array(memory, headByte, 1) };
}

/** A private record that misses its boundary by `shiftBytes`; its words are a separate copy then. */
function sourceAt(recordBytes: number, shiftBytes: number): { bytes: Uint8Array; words: Int32Array } {
  const words = sourceRecord(recordBytes);
  if (shiftBytes === 0) return { bytes: new Uint8Array(words.buffer), words };
  const bytes = new Uint8Array(new ArrayBuffer(recordBytes + shiftBytes), shiftBytes);
  bytes.set(new Uint8Array(words.buffer));
  return { bytes, words };
}

function setSequence(bytes: Uint8Array, sequence: number): void {
  bytes[0] = sequence;
  bytes[1] = sequence >> 8;
  bytes[2] = sequence >> 16;
  bytes[3] = sequence >> 24;
}

type CopyKernel = (bytes: Uint8Array, words: Int32Array, at: number) => void;

function copyKernel(
  kernel: CopyVariant["kernel"],
  memory: SharedArrayBuffer,
  recordBytes: number,
): CopyKernel {
  const target = Buffer.from(memory, SLOTS_START);
  const targetWords = new Int32Array(memory, SLOTS_START);
  const plain = new Uint8Array(memory, SLOTS_START);
  switch (kernel) {
    case "straight":
      if (recordBytes !== STRAIGHT_BYTES)
        throw new RangeError(`in a straight line: recordBytes=${recordBytes}`);
      return (_bytes, words, at) => copyStraight(targetWords, at >> 2, words);
    case "set":
      return (bytes, _words, at) => plain.set(bytes, at);
    case "fill":
      // With a view of exactly the region's length this is one native copy.
      return (bytes, _words, at) => target.fill(bytes, at, at + recordBytes);
  }
}
