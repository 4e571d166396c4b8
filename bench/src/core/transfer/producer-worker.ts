import { workerData } from "node:worker_threads";
import { sidesOf } from "./carriers.ts";
import { ENDED_WORD, STOP_WORD, TOTAL_WORD, waitForStart } from "./transfer-control.ts";
import type { TransferSetup } from "./transfer-spec.ts";

/** Records between two looks at the stop word; a multiple of every batch. */
const CHUNK_RECORDS = 512;

const setup = workerData as TransferSetup;
const control = new Int32Array(setup.control);
const send = sidesOf(setup.spec.carrier).producer(setup);
let sent = 0;
waitForStart(control);
while (Atomics.load(control, STOP_WORD) === 0) {
  send(sent, CHUNK_RECORDS);
  sent += CHUNK_RECORDS;
}
Atomics.add(control, TOTAL_WORD, sent);
Atomics.add(control, ENDED_WORD, 1);
