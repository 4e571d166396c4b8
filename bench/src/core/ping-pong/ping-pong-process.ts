/** The process of one sample: one thread asks, one echoes, and the main thread sleeps meanwhile. */

import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { Doorbell, OneToOneRingBuffer } from "@millrace/core";
import { serveCommands } from "@millrace/load/internal";
import type { CpuReport } from "../samples-in-turn.ts";
import type { PingPongResult, PingPongSetup, PingPongSpec } from "./ping-pong-spec.ts";

const ASKER = new URL("./asker-worker.js", import.meta.url);
const ECHO = new URL("./echo-worker.js", import.meta.url);
const RING_BYTES = 4096;

export type PingPongCommands = {
  run(spec: PingPongSpec): Promise<PingPongResult & CpuReport>;
};

serveCommands<PingPongCommands>({
  run: async (spec) => {
    const result = await runPingPong(spec);
    const { user, system } = process.cpuUsage();
    return { ...result, cpuSeconds: (user + system) / 1e6 };
  },
});

async function runPingPong(spec: PingPongSpec): Promise<PingPongResult> {
  const setup: PingPongSetup = {
    spec,
    requests: OneToOneRingBuffer.allocate(RING_BYTES),
    replies: OneToOneRingBuffer.allocate(RING_BYTES),
    echoBell: Doorbell.allocate(),
    askerBell: Doorbell.allocate(),
  };
  const ports = spec.by === "message-port" ? new MessageChannel() : undefined;
  const workers: Worker[] = [];
  try {
    return await new Promise<PingPongResult>((resolve, reject) => {
      const start = (file: URL, port: MessagePort | undefined): Worker => {
        const worker = new Worker(file, {
          workerData: { ...setup, ...(port && { port }) },
          transferList: port ? [port] : [],
        });
        worker.on("error", reject);
        workers.push(worker);
        return worker;
      };
      const echo = start(ECHO, ports?.port2);
      echo.once("online", () => start(ASKER, ports?.port1).on("message", resolve));
    });
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
