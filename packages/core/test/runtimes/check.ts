// A program of its own, without a test runner, for whatever runs JavaScript with node:worker_threads: Node, Bun, Deno. Prints a line for
// each thing it has checked; any failure is an error and an exit code other than 0.
import { Worker } from "node:worker_threads";
import { Doorbell } from "../../src/index.ts";
import { exchangeOverChannel } from "./channel-exchange.ts";
import { checkCopies } from "./copy-check.ts";
import { allocateExchange, Origin, runParking, runWaitingAsync } from "./exchange.ts";
import type { ExchangeWorkerData } from "./exchange-worker.ts";
import { checkStructures } from "./structures-check.ts";

const RECORDS = 20_000;
const SEED = 20_26;

class Peer {
  readonly worker: Worker;
  /** Resolves when the worker's party is done. */
  readonly done: Promise<void>;
  private poked: () => void = () => {};

  constructor(workerData: ExchangeWorkerData) {
    this.worker = new Worker(new URL("./exchange-worker.js", import.meta.url), {
      workerData,
      transferList: workerData.role === "channel" ? [workerData.channel.port] : [],
    });
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
  const peers = [new Peer({ role: "echo", memory }), new Peer({ role: "origin", memory })];
  await Promise.all(peers.map((peer) => peer.done));
  await Promise.all(peers.map((peer) => peer.worker.terminate()));
}

async function loopToWorker(run: (party: Origin, peer: Peer) => Promise<void>): Promise<void> {
  const memory = allocateExchange(RECORDS, SEED + 1);
  const peer = new Peer({ role: "echo", memory });
  await Promise.all([run(new Origin(memory), peer), peer.done]);
  await peer.worker.terminate();
}

async function overChannel(): Promise<void> {
  let peer: Peer | undefined;
  await exchangeOverChannel(RECORDS, SEED + 2, (channel) => {
    peer = new Peer({ role: "channel", channel });
    // Its error must not go unheard while the exchange stalls.
    peer.done.catch((error) => console.error(error));
  });
  await peer?.done;
  await peer?.worker.terminate();
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
await overChannel();
console.log(`ok event loop <-> worker over a channel: ${RECORDS} records there and back`);
console.log("check passed");
