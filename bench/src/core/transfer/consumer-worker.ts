import { parentPort, workerData } from "node:worker_threads";
import { sidesOf } from "./carriers.ts";
import { listen } from "./post-message.ts";
import { NO_TIMER, waitingOf } from "./ring-carriers.ts";
import { ENDED_WORD, STOP_WORD, TOTAL_WORD, waitForStart } from "./transfer-control.ts";
import type { TransferSetup } from "./transfer-spec.ts";
import { WindowMeter } from "./window-meter.ts";

const setup = workerData as TransferSetup;
const control = new Int32Array(setup.control);
const meter = new WindowMeter(setup.spec);
if (setup.spec.carrier === "post-message") {
  listen(setup, meter, report);
  waitForStart(control);
} else {
  poll();
  report();
}

function poll(): void {
  const receive = sidesOf(setup.spec.carrier).consumer(setup);
  const idle = waitingOf(setup.spec);
  waitForStart(control);
  for (;;) {
    const records = receive();
    idle.idle(records, NO_TIMER);
    if (meter.received(records)) Atomics.store(control, STOP_WORD, 1);
    // What was sent behind the window must arrive all the same, and be right.
    if (records === 0 && meter.result !== undefined && drained()) return;
  }
}

function drained(): boolean {
  return (
    Atomics.load(control, ENDED_WORD) === setup.spec.producers &&
    Atomics.load(control, TOTAL_WORD) === (meter.count | 0)
  );
}

function report(): void {
  parentPort?.postMessage(meter.result);
}
