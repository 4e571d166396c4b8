// A program of its own, without a test runner, for whatever runs JavaScript with node:worker_threads: Node, Bun, Deno. Prints a line for
// each thing it has checked; any failure is an error and an exit code other than 0.
import { Worker } from "node:worker_threads";
import { Doorbell } from "../../src/index.ts";
import { checkCopies } from "./copy-check.ts";
import { allocateExchange, type ExchangeMemory, Origin, runParking, runWaitingAsync } from "./exchange.ts";
import type { ExchangeWorkerData } from "./exchange-worker.ts";
import { checkStructures } from "./structures-check.ts";

const RECORDS = 20_000;
const SEED = 20_26;

class Peer {
  readonly worker: Worker;
  /** Resolves when the worker's party is done. */
  readonly done: Promise<void>;
  private poked: () => void = () => {};

  constructor(role: ExchangeWorkerData["role"], memory: ExchangeMemory) {
    const workerData: ExchangeWorkerData = { role, memory };
    this.worker = new Worker(new URL("./exchange-worker.js", import.meta.url), { workerData });
    this.done = new Promise((resolve, reject) => {
      this.worker.on("error", reject);
      this.worker.on("message", (message: string) => {
        if (message === "done") resolve();
        else this.poked();
      });
    });
  }

  onPoke(woken: () => void): void {
    this.poked = woken;
  }
}

async function workerToWorker(): Promise<void> {
  const memory = allocateExchange(RECORDS, SEED);
  const peers = [new Peer("echo", memory), new Peer("origin", memory)];
  await Promise.all(peers.map((peer) => peer.done));
  await Promise.all(peers.map((peer) => peer.worker.terminate()));
}

async function loopToWorker(run: (party: Origin, peer: Peer) => Promise<void>): Promise<void> {
  const memory = allocateExchange(RECORDS, SEED + 1);
  const peer = new Peer("echo", memory);
  await Promise.all([run(new Origin(memory), peer), peer.done]);
  await peer.worker.terminate();
}

console.log(`ok copyBytes: ${checkCopies()} copies`);
checkStructures();
console.log("ok structures");
await workerToWorker();
console.log(`ok worker <-> worker: ${RECORDS} records there and back`);
await loopToWorker((party, peer) => runParking(party, (woken) => peer.onPoke(woken)));
console.log(`ok parked event loop <-> worker: ${RECORDS} records there and back`);
if (Doorbell.canWaitAsync()) {
  await loopToWorker((party) => runWaitingAsync(party));
  console.log(`ok event loop in waitAsync <-> worker: ${RECORDS} records there and back`);
} else {
  console.log("skipped waitAsync: this platform has none");
}
console.log("check passed");
