/** `pnpm bench:profile`: flame graphs of a broker's threads and of its clients under load. See bench/README.md. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Durability, type Generator, type LoadTask, MILLRACE_DRIVER, openFleet } from "@millrace/load";
import { ChildProcesses, delay, type MeasuredProcess, monotonicMs } from "@millrace/load/internal";
import { BrokerProcess } from "../harness/broker-process.ts";
import { type CallNode, selfShares } from "./call-tree.ts";
import { drawFlameGraph } from "./flame-graph.ts";
import { perfMissing, recordedLines, recordProcess } from "./perf-recorder.ts";
import { readPerfScript } from "./perf-script.ts";

const HELP = `Usage: pnpm bench:profile [options]

  --out DIR              where the SVG files go (default: ./profiles)
  --durability NAME      memory, written or fsynced (default memory)
  --seconds N            length of the recording (default 8)
  --value BYTES          size of a value (default 100)
  --batch BYTES          size of a batch (default 65536; 0 = each record a frame)
  --help                 this text
`;
const WARM_UP_MS = 4000;
/** Threads with fewer samples did next to nothing. */
const SAMPLES_MIN = 200;
const SELF_SHARES_SHOWN = 12;

type Recorded = Pick<MeasuredProcess, "pid" | "threadNames">;

interface Profiled {
  readonly name: string;
  readonly tree: CallNode;
}

const { values: options } = parseArgs({
  args: process.argv.slice(2).filter((argument, index) => !(index === 0 && argument === "--")),
  options: {
    out: { type: "string", default: "profiles" },
    durability: { type: "string", default: "memory" },
    seconds: { type: "string", default: "8" },
    value: { type: "string", default: "100" },
    batch: { type: "string", default: "65536" },
    help: { type: "boolean", default: false },
  },
});
if (options.help) process.stdout.write(HELP);
else await main();

async function main(): Promise<void> {
  const missing = await perfMissing();
  if (missing !== undefined) {
    process.stderr.write(`${missing}\n`);
    process.exitCode = 2;
    return;
  }
  const children = new ChildProcesses();
  const folder = mkdtempSync(join(tmpdir(), "millrace-profile-"));
  try {
    const out = resolve(options.out);
    mkdirSync(out, { recursive: true });
    for (const { name, tree } of await profileEndToEnd(children, folder)) {
      const file = join(out, `${name}.svg`);
      writeFileSync(file, drawFlameGraph(`${name}, ${options.value} B values, ${options.durability}`, tree));
      process.stdout.write(`${file}\n`);
      for (const { name: call, kind, share } of selfShares(tree).slice(0, SELF_SHARES_SHOWN)) {
        process.stdout.write(`    ${(share * 100).toFixed(1).padStart(5)} %  ${kind.padEnd(10)}  ${call}\n`);
      }
    }
  } finally {
    await children.endAll();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** One producer, one consumer of batches, a broker with default options: records all three. */
async function profileEndToEnd(children: ChildProcesses, folder: string): Promise<Profiled[]> {
  // Read by perf: the names of compiled JavaScript. Inherited by the broker and by the generators.
  process.env.NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ""} --perf-basic-prof`.trim();
  const broker = await BrokerProcess.start(children, folder);
  const fleet = openFleet("processes");
  try {
    const consumer = await fleet.open(taskOf("consume", broker.url), "consumer");
    const producer = await fleet.open(taskOf("publish", broker.url), "producer");
    for (const generator of [consumer, producer]) await generator.prepare();
    for (const generator of [consumer, producer]) await generator.connect();
    const seconds = Number(options.seconds);
    const windowStartMs = monotonicMs() + WARM_UP_MS;
    const schedule = { startAtMs: monotonicMs(), windowStartMs, windowEndMs: windowStartMs + seconds * 1000 };
    for (const generator of [consumer, producer]) await generator.start(schedule);
    await delay(WARM_UP_MS);
    const client = (name: string, { process }: Generator): Recorded => {
      const measured = process as MeasuredProcess;
      return { ...measured, threadNames: new Map([[measured.pid, name]]) };
    };
    const recorded = [broker.measured(), client("producer", producer), client("consumer", consumer)];
    const profiled = recorded.map(async (process) => {
      const file = join(folder, `${process.pid}.perf`);
      await recordProcess(process.pid, seconds, file);
      return named(process, await readPerfScript(recordedLines(file)));
    });
    return (await Promise.all(profiled)).flat().filter(({ tree }) => tree.samples >= SAMPLES_MIN);
  } finally {
    await fleet.close();
  }
}

function taskOf(role: "publish" | "consume", url: string): LoadTask {
  return {
    driver: MILLRACE_DRIVER,
    role,
    connections: 1,
    recordsPerSecond: null,
    keys: 0,
    burst: 500,
    inFlightMax: 1_000_000,
    settings: {
      endpoint: { url },
      target: "profile",
      partitions: 1,
      durability: options.durability as Durability,
      valueBytes: Number(options.value),
      batchBytes: Number(options.batch),
      lingerMs: 1,
      stamped: false,
      mode: "live",
      from: "latest",
      subscription: "",
      slots: 0,
      options: {},
    },
  };
}

/** `main (gateway)` becomes `broker-main`, `shard-thread-worker#3` becomes `broker-shard-thread-3`. */
function named(process: Recorded, threads: Map<number, CallNode>): Profiled[] {
  return [...threads].flatMap(([tid, tree]) => {
    const thread = process.threadNames.get(tid);
    if (thread === undefined) return [];
    const name = thread
      .replace(/ \(gateway\)/, "-gateway")
      .replace("-worker#", "-")
      .replace("main-", "");
    return [{ name: process.threadNames.size > 1 ? `broker-${name}` : name, tree }];
  });
}
