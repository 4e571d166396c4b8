import { randomUUID } from "node:crypto";
import type { Client } from "@millrace/client";
import {
  type BenchDocument,
  type Durability,
  describeMachine,
  type FleetKind,
  type ResultRow,
} from "@millrace/load";
import type { BrokerAddress } from "../arguments/url-argument.ts";
import { readCertificates } from "../client-session.ts";
import type { CommandContext } from "../command-context.ts";
import { CommandError } from "../command-error.ts";
import { EXIT, type ExitCode } from "../exit-code.ts";
import type { Interruption } from "../interruption.ts";
import { LineWriter } from "../output/line-writer.ts";
import { type BenchKind, type BenchSettings, planTasks } from "./bench-plan.ts";
import { benchReport } from "./bench-report.ts";
import { benchRow, fillTopic, runRounds } from "./bench-run.ts";
import { LiveDisplay } from "./live-display.ts";

/** Options of `millrace bench`, as they were parsed; those that a kind does not have are undefined. */
export interface BenchOptions extends BrokerAddress {
  readonly topic?: string;
  readonly durability: Durability;
  readonly partitions: number;
  readonly value: number;
  readonly batch?: number;
  readonly linger?: number;
  readonly producers?: number;
  readonly consumers?: number;
  readonly rate?: number;
  readonly keys?: number;
  readonly slots?: number;
  readonly fill?: number;
  readonly duration?: number;
  readonly warmUp?: number;
  readonly rounds: number;
  readonly generators: FleetKind;
  readonly generatorsMax: number;
  readonly json?: boolean;
}

/** What a bench leaves behind if it is killed goes by itself. */
const RETENTION_MS = 3_600_000;

/** Makes the topic, runs the rounds, prints what they found. */
export async function runBench(
  kind: BenchKind,
  options: BenchOptions,
  context: CommandContext,
  client: Client,
  interruption: Interruption,
): Promise<ExitCode> {
  const settings = settingsOf(kind, options);
  // Before anything is made: what contradicts itself is refused.
  planTasks(kind, settings);
  const startedAt = new Date(context.clock.wallMs()).toISOString();
  const display = new LiveDisplay(context.stderr, options.rounds);
  try {
    if (options.topic === undefined) {
      const { partitions, durability } = settings;
      await client.topics.create(settings.topic, { partitions, durability, retentionMs: RETENTION_MS });
      if (kind === "sub") await fillTopic(client, settings, options.fill ?? 0, display, interruption);
    }
    const backlogRecords = kind === "sub" ? await recordsOf(client, settings.topic) : 0;
    const { warmUp: warmUpMs = 0, duration: durationMs = 0 } = options;
    const times = { rounds: options.rounds, warmUpMs, durationMs, backlogRecords };
    const rounds = await runRounds(kind, settings, times, options.generators, display, interruption);
    const row = benchRow(kind, settings, rounds, client.serverName ?? "");
    const lines =
      options.json === true
        ? [JSON.stringify(documentOf(`millrace bench ${kind}`, startedAt, row))]
        : [
            headLine(kind, settings, client),
            ...(rounds.length === 0 ? ["no round was completed"] : benchReport(row)),
          ];
    const writer = new LineWriter(context.stdout);
    for (const line of lines) writer.push(line);
    await writer.flush();
    return rounds.length === options.rounds ? EXIT.OK : EXIT.INTERRUPTED;
  } finally {
    if (options.topic === undefined) await client.topics.delete(settings.topic).catch(() => undefined);
  }
}

function settingsOf(kind: BenchKind, options: BenchOptions): BenchSettings {
  return {
    url: options.url,
    tlsCa: options.tlsCa === undefined ? undefined : readCertificates(options.tlsCa),
    topic: options.topic ?? `bench-${kind}-${randomUUID()}`,
    durability: options.durability,
    partitions: options.partitions,
    valueBytes: options.value,
    batchBytes: options.batch ?? 0,
    lingerMs: options.linger ?? 0,
    producers: options.producers ?? 0,
    consumers: options.consumers ?? 0,
    rate: options.rate,
    keys: options.keys ?? 0,
    slots: options.slots ?? 0,
    generatorsMax: options.generatorsMax,
  };
}

/** What a topic holds. */
async function recordsOf(client: Client, topic: string): Promise<number> {
  const { partitionInfo } = await client.topics.describe(topic);
  const records = partitionInfo.reduce(
    (sum, { highWatermark, logStartOffset }) => sum + highWatermark - logStartOffset,
    0,
  );
  if (records === 0) throw new CommandError("USAGE", `${topic} holds no records to read`);
  return records;
}

function documentOf(command: string, startedAt: string, row: ResultRow): BenchDocument {
  return {
    format: "millrace-bench",
    version: 1,
    startedAt,
    command,
    machine: describeMachine(),
    rows: [row],
    verdicts: [],
  };
}

/** `e2e on ws://127.0.0.1:7070 (millrace/0.1.0): 1 producer, 1 consumer, 1 partition, 100 B values, fsynced` */
function headLine(kind: BenchKind, settings: BenchSettings, client: Client): string {
  const parts = [
    ...(settings.producers > 0 ? [counted(settings.producers, "producer")] : []),
    ...(settings.consumers > 0 ? [counted(settings.consumers, "consumer")] : []),
    counted(settings.partitions, "partition"),
    `${settings.valueBytes} B values`,
    ...(kind === "rpc"
      ? []
      : [settings.batchBytes === 0 ? "each record a frame" : `batches of ${settings.batchBytes} B`]),
    settings.durability,
    settings.rate === undefined ? "as much as is taken" : `${settings.rate} a second`,
  ];
  return `${kind} on ${client.url} (${client.serverName}): ${parts.join(", ")}`;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
