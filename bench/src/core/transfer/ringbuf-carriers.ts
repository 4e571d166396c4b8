import { RingBuffer } from "ringbuf.js";
import { checkRecord, patternSum, sourceRecord } from "./record-check.ts";
import { NO_TIMER, waitingOf } from "./ring-carriers.ts";
import type { CarrierSides, Receive, TransferSetup } from "./transfer-spec.ts";

/**
 * ringbuf.js moves elements, not records: here they are bytes (or, for comparison, 8 bytes each), and as every
 * record has the same length, which divides the capacity, no framing is needed, and what is free or there to read is always
 * a number of whole records.
 */
type Elements = Uint8Array | Float64Array;
type ElementsOf = typeof Uint8Array | typeof Float64Array;

/** One push and one pop a record: how its ParameterWriter and ParameterReader use it. */
export const ringbufRecordSides: CarrierSides = {
  allocate: ({ capacityBytes }) => allocate(capacityBytes, Uint8Array),
  producer: ({ spec, memory }: TransferSetup) => {
    const ring = new RingBuffer(memory, Uint8Array as never);
    const words = sourceRecord(spec.recordBytes);
    const bytes = new Uint8Array(words.buffer);
    const idle = waitingOf(spec);
    return (first, count) => {
      for (let sequence = first; sequence < first + count; sequence++) {
        words[0] = sequence;
        // Without length and offset, which is where it copies natively.
        while (ring.push(bytes, undefined as never) === 0) idle.idle(0, NO_TIMER);
      }
    };
  },
  consumer: (setup) => popConsumer(setup, Uint8Array, 1),
};

/** Records are collected into a batch, which one push takes; pops of whatever is there. */
export const ringbufBatchSides: CarrierSides = batchSides(Uint8Array);

/** The same with elements of 8 bytes, for those whose data are numbers anyway. */
export const ringbufFloat64Sides: CarrierSides = batchSides(Float64Array);

/** Writes the records of a batch in place with `set`, without collecting them first; the same pops. */
export const ringbufCallbackSides: CarrierSides = {
  allocate: ({ capacityBytes }) => allocate(capacityBytes, Uint8Array),
  producer: ({ spec, memory }: TransferSetup) => {
    const ring = new RingBuffer(memory, Uint8Array as never);
    const { recordBytes, batchRecords } = spec;
    const words = sourceRecord(recordBytes);
    const bytes = new Uint8Array(words.buffer);
    const idle = waitingOf(spec);
    const batchBytes = recordBytes * batchRecords;
    let sequence = 0;
    const fill = (storage: unknown, firstAt: number, firstLength: number, secondAt: number): void => {
      const target = storage as Uint8Array;
      for (let from = 0; from < batchBytes; from += recordBytes) {
        words[0] = sequence++;
        if (from + recordBytes <= firstLength) {
          target.set(bytes, firstAt + from);
        } else {
          const split = Math.max(0, firstLength - from);
          if (split > 0) target.set(bytes.subarray(0, split), firstAt + from);
          target.set(bytes.subarray(split), secondAt + Math.max(0, from - firstLength));
        }
      }
    };
    return (first, count) => {
      for (sequence = first; sequence < first + count; ) {
        while (ring.availableWrite() < batchBytes) idle.idle(0, NO_TIMER);
        ring.writeCallbackWithOffset(batchBytes, fill as never);
      }
    };
  },
  consumer: (setup) => popConsumer(setup, Uint8Array, setup.spec.batchRecords),
};

function batchSides(type: ElementsOf): CarrierSides {
  return {
    allocate: ({ capacityBytes }) => allocate(capacityBytes, type),
    producer: ({ spec, memory }: TransferSetup) => {
      const ring = new RingBuffer(memory, type as never);
      const { recordBytes, batchRecords } = spec;
      const words = sourceRecord(recordBytes);
      const record: Elements = new type(words.buffer as ArrayBuffer);
      const batch: Elements = new type(record.length * batchRecords);
      const idle = waitingOf(spec);
      return (first, count) => {
        for (let sequence = first; sequence < first + count; sequence += batchRecords) {
          for (let i = 0; i < batchRecords; i++) {
            words[0] = sequence + i;
            batch.set(record, i * record.length);
          }
          while (ring.availableWrite() < batch.length) idle.idle(0, NO_TIMER);
          ring.push(batch as never, undefined as never);
        }
      };
    },
    consumer: (setup) => popConsumer(setup, type, setup.spec.batchRecords),
  };
}

function allocate(capacityBytes: number, type: ElementsOf): SharedArrayBuffer {
  return RingBuffer.getStorageForCapacity(capacityBytes / type.BYTES_PER_ELEMENT, type as never);
}

/** Pops up to `recordsMax` whole records into private memory and checks them there: there is no reading in place. */
function popConsumer({ spec, memory }: TransferSetup, type: ElementsOf, recordsMax: number): Receive {
  const ring = new RingBuffer(memory, type as never);
  const { recordBytes } = spec;
  const recordWords = recordBytes >> 2;
  const perRecord = recordBytes / type.BYTES_PER_ELEMENT;
  const words = new Int32Array(recordWords * recordsMax);
  const elements: Elements = new type(words.buffer as ArrayBuffer);
  const pattern = patternSum(recordBytes);
  let expected = 0;
  return () => {
    const records = ring.pop(elements as never, elements.length) / perRecord;
    for (let i = 0; i < records; i++) checkRecord(words, i * recordWords, recordWords, expected++, pattern);
    return records;
  };
}
