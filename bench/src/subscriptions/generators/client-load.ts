/**
 * Generator `client-load`: an application on `@millrace/client` that consumes with a handler, in a process that also
 * publishes, over a raw connection, so that the client has nearly all of the core.
 */

import { type Client, connect } from "@millrace/client";
import { monotonicMs, reportFailure, serveCommands } from "@millrace/load/internal";
import { Drain } from "./drain.ts";
import type { LoadCommands, LoadMode } from "./raw-load.ts";
import { openPublisher, type PublishedLoad, type WindowedPublisher } from "./windowed-publisher.ts";

const PREFETCH = 16_384;
const CONCURRENCY = 1_024;

let publisher: WindowedPublisher | undefined;
let client: Client | undefined;
let records = 0;
/** Something that depends on every value that was read. */
let touched = 0;
const drain = new Drain();

async function consume({ url, topics: [topic = ""] }: PublishedLoad, mode: LoadMode): Promise<void> {
  client = await connect(url, { name: "bench-client" });
  const options = { subscription: mode, mode, from: "earliest" } as const;
  const consumer = client.consume(
    topic,
    mode === "stream" ? options : { ...options, prefetch: PREFETCH },
    ({ value }) => {
      touched = (touched + ((value as Uint8Array)[0] as number)) | 0;
      records++;
      if (records % CONCURRENCY === 0) {
        publisher?.load.pump();
        drain.progressed();
      }
    },
    { concurrency: mode === "stream" ? 1 : CONCURRENCY },
  );
  consumer.on("error", ({ error }) => reportFailure(error));
  consumer.closed.catch(reportFailure);
  await consumer.ready();
}

serveCommands<LoadCommands>({
  connect: async ({ spec, mode }) => {
    publisher = await openPublisher(spec, () => records, reportFailure);
    await consume(spec, mode);
  },
  start: () => publisher?.load.start(),
  mark: () => ({ timeMs: monotonicMs(), records, bytes: touched * 0 }),
  stop: async () => {
    await publisher?.load.stop();
    await drain.until(() => records >= (publisher?.published() ?? 0));
  },
  figures: () => ({ records }),
});
