import { createRequire } from "node:module";
import { delay } from "@millrace/load/internal";
import { BATCH_BYTES, type RowOutcome, VALUE_BYTES } from "../harness/bench-row.ts";
import { flushFileSystem } from "../harness/file-system.ts";
import { type SampleSet, sampleAlternating } from "../harness/sampling.ts";
import { formatCosts, formatDisturbance, formatSpread } from "../harness/terminal.ts";
import type { ClientLoadCommands, ClientMode } from "./generators/client-load.ts";
import type { PublisherCommands } from "./generators/publisher.ts";
import { type LimitContext, type RowBroker, withBroker } from "./limit-context.ts";
import type { LimitRow } from "./limit-row.ts";
import { ClientSubject } from "./subjects.ts";

interface ClientRow {
  readonly name: string;
  readonly description: string;
  /** The row's ratio is the measured rate over this, so that its target is 1. */
  readonly recordsPerSecond: number;
  readonly mode: ClientMode;
  readonly bufferutil: boolean;
}

const TOPIC = "bench";
/** What there is to read for batches(): several times what the client holds in its window. */
const PRELOADED_RECORDS = 4_000_000;
const PRELOADED_RECORDS_QUICK = 1_000_000;

const ROWS: readonly ClientRow[] = [
  {
    name: "client-send",
    description: "producer.send, a promise a record, fsynced, without bufferutil, against 800k records/s",
    recordsPerSecond: 800_000,
    mode: "send",
    bufferutil: false,
  },
  {
    name: "client-send-bufferutil",
    description: "producer.send, a promise a record, fsynced, with bufferutil, against 1M records/s",
    recordsPerSecond: 1_000_000,
    mode: "send",
    bufferutil: true,
  },
  {
    name: "client-append",
    description: "producer.append, fsynced, against 1.5M records/s",
    recordsPerSecond: 1_500_000,
    mode: "append",
    bufferutil: true,
  },
  {
    name: "client-batches",
    description: "batches() from the earliest record on, each value touched, against 2M records/s",
    recordsPerSecond: 2_000_000,
    mode: "batches",
    bufferutil: true,
  },
];

export const clientRows: readonly LimitRow[] = ROWS.map((row) => ({
  name: row.name,
  description: row.description,
  target: 1,
  sense: "at-least",
  run: (context) => withBroker(context, row.name, (broker) => runClientRow(context, row, broker)),
}));

async function runClientRow(context: LimitContext, row: ClientRow, broker: RowBroker): Promise<RowOutcome> {
  if (row.bufferutil && row.mode === "send" && !hasBufferutil()) {
    throw new Error("the optional package bufferutil is not installed");
  }
  if (row.mode === "batches") await preload(context, broker);
  const client = await context.children.fork<ClientLoadCommands>(
    new URL("./generators/client-load.js", import.meta.url),
    // ws leaves bufferutil alone when this is set.
    { env: row.bufferutil ? {} : { WS_NO_BUFFER_UTIL: "1" } },
  );
  try {
    const { url } = broker.process;
    await client.call("connect", { url, topic: TOPIC, mode: row.mode, valueBytes: VALUE_BYTES });
    const subject = new ClientSubject(client, broker.process.measured());
    const [samples] = (await sampleAlternating([subject], context.plan, context.progress.say, () =>
      flushFileSystem(context),
    )) as [SampleSet];
    return {
      ratio: samples.recordsPerSecond.median / row.recordsPerSecond,
      counts: true,
      raw: {
        unit: "records",
        requiredRecordsPerSecond: row.recordsPerSecond,
        bufferutil: row.bufferutil && hasBufferutil(),
        client: samples,
      },
      details: [
        `${formatSpread(samples.recordsPerSecond, 1e6, "M records/s")}`,
        ...formatDisturbance([samples]),
        ...formatCosts(samples.cpu),
      ],
    };
  } finally {
    await context.children.end(client.pid);
  }
}

/** Whether the client's `ws` finds the optional native masking. */
function hasBufferutil(): boolean {
  const client = createRequire(import.meta.resolve("@millrace/client"));
  try {
    createRequire(client.resolve("ws"))("bufferutil");
    return true;
  } catch {
    return false;
  }
}

async function preload(context: LimitContext, broker: RowBroker): Promise<void> {
  const wanted = context.quick ? PRELOADED_RECORDS_QUICK : PRELOADED_RECORDS;
  context.progress.say(`publishing ${wanted} records to read`);
  const module = new URL("./generators/publisher.js", import.meta.url);
  const publisher = await context.children.fork<PublisherCommands>(module);
  try {
    const shape = { valueBytes: VALUE_BYTES, batchBytes: BATCH_BYTES };
    const target = { url: broker.process.url, topic: TOPIC, durability: "fsynced", shape };
    await publisher.call("connectBroker", target);
    await publisher.call("start", { to: "broker" });
    while ((await publisher.call("mark", { to: "broker" })).records < wanted) await delay(20);
    await publisher.call("stop", { to: "broker" });
  } finally {
    await context.children.end(publisher.pid);
  }
}
