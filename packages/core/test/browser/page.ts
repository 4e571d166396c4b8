// What the test page does. Its outcome is the promise `millraceOutcome`, which the test awaits.
import { BroadcastTransmitter, copyBytes, Doorbell, OneToOneRingBuffer } from "../../src/index.ts";
import { exchangeOverChannel } from "../runtimes/channel-exchange.ts";
import { checkCopies } from "../runtimes/copy-check.ts";
import { allocateExchange, Origin, runParking, runWaitingAsync } from "../runtimes/exchange.ts";
import { checkStructures } from "../runtimes/structures-check.ts";
import type { PartyMessage } from "./party-worker.ts";

/** What this file uses of a browser's Worker. */
interface WebWorker {
  onmessage: (event: { data: string }) => void;
  onerror: (event: { message: string }) => void;
  postMessage(message: PartyMessage, transfer: object[]): void;
  terminate(): void;
}

const platform = globalThis as unknown as {
  Worker: new (url: URL, options: { type: "module" }) => WebWorker;
  crossOriginIsolated: boolean;
  millraceOutcome: Promise<IsolatedOutcome | PlainOutcome>;
};

/** What an isolated page reports. */
export interface IsolatedOutcome {
  readonly isolated: true;
  readonly hasBuffer: boolean;
  readonly canWaitAsync: boolean;
  readonly copies: number;
  readonly passed: readonly string[];
  /** Copies into shared memory: MB/s by the bytes of one copy, aligned and not. For reading, not for judging. */
  readonly copySpeeds: Readonly<Record<string, number>>;
}

/** What the same page reports without isolation: the error of each allocate, and of attach. */
export interface PlainOutcome {
  readonly isolated: false;
  readonly errors: Readonly<Record<string, string>>;
}

const RECORDS = 20_000;
const SEED = 4;

class Peer {
  readonly worker: WebWorker;
  readonly done: Promise<void>;
  private poked: () => void = () => {};

  constructor(message: PartyMessage) {
    this.worker = new platform.Worker(new URL("./party-worker.js", import.meta.url), { type: "module" });
    this.done = new Promise((resolve, reject) => {
      this.worker.onerror = (event) => reject(new Error(`worker: ${event.message}`));
      this.worker.onmessage = ({ data }) => {
        if (data === "poke") this.poked();
        else if (data === "done") resolve();
        else reject(new Error(data));
      };
    });
    this.worker.postMessage(message, message.role === "channel" ? [message.channel.port] : []);
  }

  onPoke(woken: () => void): void {
    this.poked = woken;
  }
}

async function workerToWorker(): Promise<void> {
  const memory = allocateExchange(RECORDS, SEED);
  const peers = [new Peer({ role: "echo", memory }), new Peer({ role: "origin", memory })];
  await Promise.all(peers.map((peer) => peer.done));
  for (const peer of peers) peer.worker.terminate();
}

async function pageToWorker(run: (party: Origin, peer: Peer) => Promise<void>): Promise<void> {
  const memory = allocateExchange(RECORDS, SEED + 1);
  const peer = new Peer({ role: "echo", memory });
  await Promise.all([run(new Origin(memory), peer), peer.done]);
  peer.worker.terminate();
}

async function overChannel(): Promise<void> {
  let peer: Peer | undefined;
  await exchangeOverChannel(RECORDS, SEED + 2, (channel) => {
    peer = new Peer({ role: "channel", channel });
  });
  await peer?.done;
  peer?.worker.terminate();
}

async function isolatedOutcome(): Promise<IsolatedOutcome> {
  const passed: string[] = [];
  const copies = checkCopies();
  checkStructures();
  passed.push("structures");
  await workerToWorker();
  passed.push("worker <-> worker");
  await pageToWorker((party, peer) => runParking(party, (woken) => peer.onPoke(woken)));
  passed.push("parked page <-> worker");
  await overChannel();
  passed.push("page <-> worker over a channel");
  const canWaitAsync = Doorbell.canWaitAsync();
  if (canWaitAsync) {
    await pageToWorker((party) => runWaitingAsync(party));
    passed.push("page in waitAsync <-> worker");
  }
  return {
    isolated: true,
    hasBuffer: "Buffer" in globalThis,
    canWaitAsync,
    copies,
    passed,
    copySpeeds: copySpeeds(),
  };
}

function copySpeeds(): Record<string, number> {
  const speeds: Record<string, number> = {};
  const source = new Uint8Array(65_536 + 8);
  const target = new Uint8Array(new SharedArrayBuffer(65_536 + 8));
  for (const bytes of [64, 1024, 16_384]) {
    for (const shift of [0, 1]) {
      // The clock of an isolated page ticks every 5 us.
      const rounds = Math.ceil(2 ** 24 / bytes);
      const startMs = performance.now();
      for (let i = 0; i < rounds; i++) copyBytes(target, 0, source, shift, bytes);
      const ms = performance.now() - startMs;
      speeds[`${bytes} B ${shift === 0 ? "aligned" : "misaligned"}`] = Math.round(
        (rounds * bytes) / 1000 / ms,
      );
    }
  }
  return speeds;
}

function plainOutcome(): PlainOutcome {
  const actions: Record<string, () => unknown> = {
    ring: () => OneToOneRingBuffer.allocate(1024),
    doorbell: () => Doorbell.allocate(),
    broadcast: () => BroadcastTransmitter.allocate(1024),
    attach: () => OneToOneRingBuffer.attach(new ArrayBuffer(2048) as unknown as SharedArrayBuffer),
  };
  const errors: Record<string, string> = {};
  for (const [name, action] of Object.entries(actions)) {
    try {
      action();
      errors[name] = "none";
    } catch (error) {
      errors[name] = String(error);
    }
  }
  return { isolated: false, errors };
}

platform.millraceOutcome = platform.crossOriginIsolated ? isolatedOutcome() : Promise.resolve(plainOutcome());
