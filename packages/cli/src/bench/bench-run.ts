import type { Client } from "@millrace/client";
import {
  describeMachine,
  type FleetKind,
  openFleet,
  type Repetition,
  type ResultRow,
  type RunProgress,
  runRepetition,
} from "@millrace/load";
import type { Interruption } from "../interruption.ts";
import { type BenchKind, type BenchSettings, isStamped, planTasks } from "./bench-plan.ts";
import type { LiveDisplay } from "./live-display.ts";
import { readBacklog } from "./read-backlog.ts";

/** How often and how long. */
export interface BenchTimes {
  readonly rounds: number;
  readonly warmUpMs: number;
  readonly durationMs: number;
  /** `sub`: records of the topic, which each consumer reads. */
  readonly backlogRecords: number;
}

/** Longest wait for what is under way at the end of a round. */
const DRAIN_MS = 30_000;

/** Runs the rounds one after the other; an interruption ends it with those that are complete. */
export async function runRounds(
  kind: BenchKind,
  settings: BenchSettings,
  times: BenchTimes,
  fleetKind: FleetKind,
  display: LiveDisplay,
  interruption: Interruption,
): Promise<Repetition[]> {
  const rounds: Repetition[] = [];
  const tasks = planTasks(kind, settings);
  while (rounds.length < times.rounds && !interruption.interrupted) {
    const onProgress = (progress: RunProgress): void => display.show(rounds.length + 1, progress);
    const fleet = openFleet(fleetKind);
    const stop = (): void => void fleet.close();
    interruption.signal.addEventListener("abort", stop);
    try {
      const { warmUpMs, durationMs, backlogRecords } = times;
      rounds.push(
        kind === "sub"
          ? await readBacklog({ tasks, fleet, records: backlogRecords, onProgress })
          : await runRepetition({
              tasks,
              fleet,
              broker: { processes: [] },
              warmUpMs,
              durationMs,
              drainMs: DRAIN_MS,
              onProgress,
            }),
      );
    } catch (error) {
      if (!interruption.interrupted) throw error;
    } finally {
      interruption.signal.removeEventListener("abort", stop);
      display.clear();
      await fleet.close();
    }
  }
  return rounds;
}

/** Puts what was measured into the form that result documents have. */
export function benchRow(
  kind: BenchKind,
  settings: BenchSettings,
  rounds: readonly Repetition[],
  serverName: string,
): ResultRow {
  const { cores } = describeMachine();
  const { url: _url, tlsCa: _tlsCa, topic: _topic, durability, rate, keys, ...parameters } = settings;
  return {
    scenario: kind,
    subject: "millrace",
    version: serverName,
    client: "@millrace/client (Node)",
    kind: "client",
    durability,
    parameters: {
      ...parameters,
      ...(rate === undefined ? {} : { recordsPerSecond: rate }),
      ...(keys === 0 ? {} : { keys }),
    },
    settings: ["the client's defaults, but for what the parameters say"],
    notes: notesOf(kind, rounds, cores),
    repetitions: rounds,
  };
}

function notesOf(kind: BenchKind, rounds: readonly Repetition[], cores: number): string[] {
  const notes: string[] = [];
  for (const error of new Set(rounds.flatMap(({ errors }) => errors ?? []))) notes.push(`error: ${error}`);
  if (rounds.some(({ generatorSaturated }) => generatorSaturated)) {
    notes.push("the generators were at their own limit: more of them, or another machine, may measure more");
  }
  if (rounds.some(({ busyThreads }) => busyThreads > cores)) {
    notes.push(
      `more than ${cores} threads wanted to run on ${cores} cores: generators and a local broker share them`,
    );
  }
  if (isStamped(kind) && rounds.some(({ endToEnd }) => endToEnd !== undefined)) {
    notes.push(
      "latencies count from the moment at which a record was to be sent; without --rate that is when it was",
    );
  }
  return notes;
}

/** Publishes so many records for consumers to read. */
export async function fillTopic(
  client: Client,
  settings: BenchSettings,
  records: number,
  display: LiveDisplay,
  interruption: Interruption,
): Promise<void> {
  const producer = client.producer(settings.topic);
  const record = { value: new Uint8Array(settings.valueBytes).fill(0x61) };
  await producer.ready();
  for (let count = 0; count < records && !interruption.interrupted; ) {
    await producer.room({ signal: interruption.signal });
    while (producer.hasRoom && count < records) {
      // A batch that fails shows when the producer is closed.
      void producer.append(record);
      count++;
    }
    display.text(`filling the topic: ${count} of ${records} records`);
  }
  await producer.close();
  display.clear();
}
