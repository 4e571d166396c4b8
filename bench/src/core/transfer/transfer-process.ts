/** The process of one sample: two threads or more that move records, and a main thread that sleeps meanwhile. */

import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { serveCommands } from "@millrace/load/internal";
import type { CpuReport } from "../samples-in-turn.ts";
import { sidesOf } from "./carriers.ts";
import { allocateControl, GO_WORD, READY_WORD } from "./transfer-control.ts";
import type { TransferResult, TransferSetup, TransferSpec } from "./transfer-spec.ts";

const CONSUMER = new URL("./consumer-worker.js", import.meta.url);
const PRODUCER = new URL("./producer-worker.js", import.meta.url);
const READY_POLL_MS = 5;

export type TransferCommands = {
  run(spec: TransferSpec): Promise<TransferResult & CpuReport>;
};

serveCommands<TransferCommands>({
  run: async (spec) => {
    const result = await runTransfer(spec);
    const { user, system } = process.cpuUsage();
    return { ...result, cpuSeconds: (user + system) / 1e6 };
  },
});

async function runTransfer(spec: TransferSpec): Promise<TransferResult> {
  const setup = { spec, control: allocateControl(), memory: sidesOf(spec.carrier).allocate(spec) };
  const ports = spec.carrier === "post-message" ? new MessageChannel() : undefined;
  const workers: Worker[] = [];
  try {
    return await new Promise<TransferResult>((resolve, reject) => {
      const start = (file: URL, producer: number, port: MessagePort | undefined): Worker => {
        const data: TransferSetup = { ...setup, producer, ...(port && { port }) };
        const worker = new Worker(file, {
          workerData: data,
          transferList: port ? [port] : [],
        });
        worker.on("error", reject);
        workers.push(worker);
        return worker;
      };
      start(CONSUMER, 0, ports?.port1).on("message", resolve);
      for (let i = 0; i < spec.producers; i++) start(PRODUCER, i, ports?.port2);
      const control = new Int32Array(setup.control);
      const timer = setInterval(() => {
        if (Atomics.load(control, READY_WORD) !== workers.length) return;
        clearInterval(timer);
        Atomics.store(control, GO_WORD, 1);
        Atomics.notify(control, GO_WORD);
      }, READY_POLL_MS);
    });
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
