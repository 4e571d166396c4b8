/**
 * Generator `client-load`: an application on `@millrace/client` with the client's default options, one process,
 * one connection. It publishes with `send` (a promise a record) or `append`, or reads with `batches()`.
 */

import { setImmediate as nextTurn } from "node:timers/promises";
import { type Client, connect, type Producer } from "@millrace/client";
import { monotonicMs, reportFailure, serveCommands } from "@millrace/load/internal";
import type { Counters } from "../../harness/sampling.ts";

export type ClientMode = "send" | "append" | "batches";

export interface ClientLoadCommands {
  /** Creates the topic unless the mode is `batches`, which reads one that is there. */
  connect(args: { url: string; topic: string; mode: ClientMode; valueBytes: number }): Promise<void>;
  start(args: null): void;
  mark(args: null): Counters;
  stop(args: null): Promise<void>;
}

/** Records given to the producer before the event loop gets a turn to send and receive. */
const BURST_RECORDS = 500;

let client: Client | undefined;
let producer: Producer | undefined;
let topic = "";
let mode: ClientMode = "send";
let record: { readonly value: Uint8Array } = { value: new Uint8Array(0) };
let running = false;
let loop: Promise<void> = Promise.resolve();
let records = 0;
/** Something that depends on every value that was read, so that reading cannot be optimized away. */
let touched = 0;

const countOne = (): void => {
  records++;
};

async function sendAll(producing: Producer): Promise<void> {
  while (running) {
    for (let left = BURST_RECORDS; left > 0 && producing.hasRoom; left--) {
      producing.send(record).then(countOne, reportFailure);
    }
    if (producing.hasRoom) await nextTurn();
    else await producing.room();
  }
  await producing.flush();
}

async function appendAll(producing: Producer): Promise<void> {
  let batch: Promise<unknown> | undefined;
  while (running) {
    for (let left = BURST_RECORDS; left > 0 && producing.hasRoom; left--) {
      const taken = producing.append(record);
      if (taken === batch) continue;
      batch = taken;
      taken.then((result) => {
        records += result.count;
      }, reportFailure);
    }
    if (producing.hasRoom) await nextTurn();
    else await producing.room();
  }
  await producing.flush();
}

/** Reads the topic from its beginning to its end, over and over. */
async function readAll(reading: Client): Promise<void> {
  while (running) {
    for await (const batch of reading.subscribe(topic, { from: "earliest", untilEnd: true }).batches()) {
      const { count } = batch;
      for (let index = 0; index < count; index++) {
        touched = (touched + (batch.valueAt(index)[0] as number)) | 0;
      }
      records += count;
      if (!running) break;
    }
  }
}

async function run(): Promise<void> {
  if (mode === "batches") await readAll(client as Client);
  else if (mode === "send") await sendAll(producer as Producer);
  else await appendAll(producer as Producer);
}

serveCommands<ClientLoadCommands>({
  connect: async (args) => {
    mode = args.mode;
    topic = args.topic;
    record = { value: new Uint8Array(args.valueBytes).fill(0x61) };
    client = await connect(args.url, { name: "bench-client" });
    if (mode === "batches") return;
    await client.topics.create(topic, { partitions: 1, durability: "fsynced" });
    producer = client.producer(topic);
    await producer.ready();
  },
  start: () => {
    running = true;
    loop = run();
    loop.catch(reportFailure);
  },
  mark: () => ({ timeMs: monotonicMs(), records, bytes: touched * 0 }),
  stop: async () => {
    running = false;
    await loop;
  },
});
