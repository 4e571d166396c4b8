import {
  BusySpinIdleStrategy,
  type IdleStrategy,
  ManyToOneRingBuffer,
  OneToOneRingBuffer,
  YieldingIdleStrategy,
} from "@millrace/core";
import { checkRecord, fillStraight, patternSum, STRAIGHT_BYTES, sourceRecord } from "./record-check.ts";
import type { CarrierSides, Receive, TransferSetup, TransferSpec } from "./transfer-spec.ts";

/** Any positive type will do; of many producers, each has its own. */
const TYPE = 1;
export const NO_TIMER: { nextTimerMs(): number } = { nextTimerMs: (): number => Number.POSITIVE_INFINITY };

/** `write` of a private record, published in batches. */
export const ringWriteSides: CarrierSides = {
  allocate: ({ capacityBytes }) => OneToOneRingBuffer.allocate(capacityBytes),
  producer: ({ spec, memory }: TransferSetup) => {
    const ring = OneToOneRingBuffer.attach(memory);
    const words = sourceRecord(spec.recordBytes);
    const bytes = new Uint8Array(words.buffer);
    const idle = waitingOf(spec);
    const { batchRecords } = spec;
    return (first, count) => {
      for (let sequence = first; sequence < first + count; ) {
        const end = Math.min(sequence + batchRecords, first + count);
        for (; sequence < end; sequence++) {
          words[0] = sequence;
          while (ring.write(TYPE, bytes) < 0) idle.idle(0, NO_TIMER);
        }
        ring.publish();
        idle.reset();
      }
    };
  },
  consumer: oneToOneConsumer,
};

/** `tryClaim` and filling in place, field by field, published in batches. */
export const ringClaimSides: CarrierSides = {
  allocate: ({ capacityBytes }) => OneToOneRingBuffer.allocate(capacityBytes),
  producer: ({ spec, memory }: TransferSetup) => {
    const ring = OneToOneRingBuffer.attach(memory);
    const { words } = ring;
    const idle = waitingOf(spec);
    const { batchRecords, recordBytes } = spec;
    if (recordBytes !== STRAIGHT_BYTES) throw new RangeError(`in place: recordBytes=${recordBytes}`);
    return (first, count) => {
      for (let sequence = first; sequence < first + count; ) {
        const end = Math.min(sequence + batchRecords, first + count);
        for (; sequence < end; sequence++) {
          let index = ring.tryClaim(TYPE, recordBytes);
          while (index < 0) {
            idle.idle(0, NO_TIMER);
            index = ring.tryClaim(TYPE, recordBytes);
          }
          fillStraight(words, index >> 2, sequence);
          ring.commit(index);
        }
        ring.publish();
      }
    };
  },
  consumer: oneToOneConsumer,
};

/** `write` by several producers, each record published by itself. */
export const manyToOneSides: CarrierSides = {
  allocate: ({ capacityBytes }) => ManyToOneRingBuffer.allocate(capacityBytes),
  producer: ({ spec, memory, producer }: TransferSetup) => {
    const ring = ManyToOneRingBuffer.attach(memory);
    const words = sourceRecord(spec.recordBytes);
    const bytes = new Uint8Array(words.buffer);
    const idle = waitingOf(spec);
    const type = TYPE + producer;
    return (first, count) => {
      for (let sequence = first; sequence < first + count; sequence++) {
        words[0] = sequence;
        while (ring.write(type, bytes) < 0) idle.idle(0, NO_TIMER);
        idle.reset();
      }
      ring.publish();
    };
  },
  consumer: ({ spec, memory }: TransferSetup) => {
    const ring = ManyToOneRingBuffer.attach(memory);
    const { words } = ring;
    const pattern = patternSum(spec.recordBytes);
    const expected = new Int32Array(TYPE + spec.producers);
    const handler = (type: number, index: number, length: number): void => {
      const sequence = expected[type] as number;
      expected[type] = sequence + 1;
      checkRecord(words, index >> 2, length >> 2, sequence, pattern);
    };
    return () => ring.read(handler);
  },
};

/** What the package offers to those who wait for space or for records. */
export function waitingOf({ waiting }: TransferSpec): IdleStrategy {
  return waiting === "yield" ? new YieldingIdleStrategy() : new BusySpinIdleStrategy();
}

/** Reads in place, by the handler that the package's documentation shows first. */
function oneToOneConsumer({ spec, memory }: TransferSetup): Receive {
  const ring = OneToOneRingBuffer.attach(memory);
  const { words } = ring;
  const pattern = patternSum(spec.recordBytes);
  let expected = 0;
  const handler = (_type: number, index: number, length: number): void => {
    checkRecord(words, index >> 2, length >> 2, expected++, pattern);
  };
  return () => ring.read(handler);
}
