import type { MessagePort } from "node:worker_threads";
import { checkRecord, patternSum, sourceRecord } from "./record-check.ts";
import { NO_TIMER, waitingOf } from "./ring-carriers.ts";
import { ENDED_WORD, SEEN_WORD, STOP_WORD, TOTAL_WORD } from "./transfer-control.ts";
import type { CarrierSides, TransferSetup, TransferSpec } from "./transfer-spec.ts";
import type { WindowMeter } from "./window-meter.ts";

/**
 * One message a record over a MessagePort, cloned by the platform. At most so many are in flight: more of them make it
 * slower (the receiver takes them out of the heap's reach), fewer leave it idle.
 */
const IN_FLIGHT_MAX = 64;

/** The sender; the receiver is an event handler and has no Receive. */
export const postMessageSides: CarrierSides = {
  allocate: () => new SharedArrayBuffer(0),
  producer: ({ spec, control: controlBuffer, port }: TransferSetup) => {
    const control = new Int32Array(controlBuffer);
    const words = sourceRecord(spec.recordBytes);
    // An ArrayBuffer: cloning one is cheaper than cloning a view of it.
    const message = words.buffer;
    const idle = waitingOf(spec);
    const target = port as MessagePort;
    return (first, count) => {
      for (let sequence = first; sequence < first + count; sequence++) {
        while (((sequence - Atomics.load(control, SEEN_WORD)) | 0) >= IN_FLIGHT_MAX) idle.idle(0, NO_TIMER);
        words[0] = sequence;
        target.postMessage(message);
      }
    };
  },
  consumer: () => {
    throw new Error("messages arrive as events");
  },
};

/** The receiver: checks each message as it arrives, and calls `onEnd` when the window is over and nothing is on its way. */
export function listen(setup: TransferSetup, meter: WindowMeter, onEnd: () => void): void {
  const { recordBytes }: TransferSpec = setup.spec;
  const control = new Int32Array(setup.control);
  const port = setup.port as MessagePort;
  const pattern = patternSum(recordBytes);
  port.on("message", (message: ArrayBuffer) => {
    const words = new Int32Array(message);
    checkRecord(words, 0, words.length, meter.count, pattern);
    const over = meter.received(1);
    Atomics.store(control, SEEN_WORD, meter.count);
    if (over) {
      Atomics.store(control, STOP_WORD, 1);
      endWhenDrained();
    }
  });
  function endWhenDrained(): void {
    const ended = Atomics.load(control, ENDED_WORD) === setup.spec.producers;
    if (ended && Atomics.load(control, TOTAL_WORD) === meter.count) {
      port.close();
      onEnd();
    } else {
      setTimeout(endWhenDrained, 1);
    }
  }
}
