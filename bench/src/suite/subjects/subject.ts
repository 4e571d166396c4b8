import type { Durability } from "@millrace/load";
import type { ChildProcesses, MeasuredProcess } from "@millrace/load/internal";

export type { Durability } from "@millrace/load";

/**
 * Who produces the load. `client`: a public client library, called as an application would. `native`: the tool that comes
 * with the broker. `raw`: bytes that were encoded before, over a socket, so that no client's cost is in the figure.
 */
export type SubjectKind = "client" | "native" | "raw";

export const SCENARIO_NAMES = [
  "pinned-producer",
  "pinned-consumer",
  "balanced-consumer",
  "end-to-end",
  "fan-out",
  "fan-in",
  "request-reply",
  "queue",
  "keyed-queue",
  "replay",
  "replay-beside-live",
  "many-topics",
  "idle-connections",
  "catch-up",
  "http-publish",
  "recovery",
  "unbatched-latency",
] as const;
export type ScenarioName = (typeof SCENARIO_NAMES)[number];

/** A broker that the suite can start, and the driver that loads it. */
export interface Subject {
  /** As in the rows: "millrace", "nats-core", "redis-streams". */
  readonly name: string;
  readonly kind: Exclude<SubjectKind, "native">;
  /** URL of the compiled module that exports `driver`; generators import it in a process of their own. */
  readonly driver: string;
  /** The columns that it has. A broker without a log, such as NATS core, has `memory` alone. */
  readonly durabilities: readonly Durability[];
  /** false: the broker has no such thing, or the row would compare different things. */
  supports(scenario: ScenarioName, durability: Durability): boolean;
  /** undefined when it can be started here, else why not, as a line for the reader ("redis-server is not installed"). Quick. */
  available(): Promise<string | undefined>;
  /**
   * Starts the broker on free loopback ports with all of its data below `context.folder`, and resolves once it takes
   * connections. A folder that already has data is continued with: that is how recovery is measured.
   */
  start(context: SubjectContext): Promise<RunningSubject>;
  /** What this broker itself comes with for such a run; rows of kind `native`. */
  readonly nativeTools?: readonly NativeTool[] | undefined;
  /**
   * URL of the compiled module that exports `connectPinger: ConnectPinger`. With it, fan-out also says how long an unrelated
   * session waits for the answer to a ping.
   */
  readonly pinger?: string | undefined;
  /** The driver's own settings for a scenario (`DriverSettings.options`). */
  driverOptions?(scenario: ScenarioName, durability: Durability): Readonly<Record<string, unknown>>;
}

export interface SubjectContext {
  /** Starts processes and ends them by their pid, at the latest when the run is over or interrupted. */
  readonly children: ChildProcesses;
  /** This subject's own; the caller makes it, and removes it after `stop()`. */
  readonly folder: string;
  readonly durability: Durability;
  readonly partitions: number;
  /** What a scenario wants besides, and a subject may ignore: `tls: true`. */
  readonly wants?: { readonly tls?: boolean | undefined } | undefined;
}

/** A broker that takes connections. */
export interface RunningSubject {
  /** Given to the driver as `DriverSettings.endpoint`. */
  readonly endpoint: Readonly<Record<string, string | number>>;
  /** All processes of the broker, for CPU and resident memory; role "broker". */
  readonly processes: readonly MeasuredProcess[];
  /** Of the broker: "7.0.15". */
  readonly version: string;
  /** The broker's settings that differ from its defaults or matter for the row, a line each. */
  readonly settings: readonly string[];
  /** Waits until work that it does behind the load is done (compaction, write-back), before a window begins. */
  settle?(): Promise<void>;
  /** Makes many topics quickly, for many-topics; where it is missing the driver prepares them one by one. */
  createTopics?(names: readonly string[]): Promise<void>;
  /** Ends its processes by their pids. */
  stop(): Promise<void>;
}

/** The load tool that comes with a broker: the check that the suite's own driver does not hold it back. */
export interface NativeTool {
  /** "nats bench" */
  readonly name: string;
  /** What it is written in: "Go". */
  readonly language: string;
  supports(scenario: ScenarioName, request: NativeRequest): boolean;
  /** Runs once and ends by itself. @throws Error when the tool fails or says nothing that can be read */
  run(running: RunningSubject, request: NativeRequest): Promise<NativeResult>;
}

export interface NativeRequest {
  readonly children: ChildProcesses;
  /** For files of the tool; removed afterwards. */
  readonly folder: string;
  readonly scenario: ScenarioName;
  readonly durability: Durability;
  readonly valueBytes: number;
  /** 0: one record a frame, nothing batched. */
  readonly batchBytes: number;
  readonly lingerMs: number;
  readonly producers: number;
  readonly consumers: number;
  readonly partitions: number;
  /** null: as fast as possible. */
  readonly recordsPerSecond: number | null;
  /** How long it should take, about: tools that count records instead choose their number by it. */
  readonly durationMs: number;
}

export interface NativeResult {
  /** Records published, or consumed where the scenario is about that. */
  readonly recordsPerSecond: number;
  /** Fan-out: records times subscribers that got them. */
  readonly deliveriesPerSecond?: number | undefined;
  /** How long the tool says that it measured. */
  readonly seconds?: number | undefined;
  /** Of the tool and its children, for the whole run; undefined where it cannot be told. */
  readonly clientCpuSeconds?: number | undefined;
  /** Of the brokers, for the whole run, and the records of the whole run. */
  readonly brokerCpuSeconds?: number | undefined;
  readonly records?: number | undefined;
  /** Milliseconds, where the tool says them. */
  readonly latency?: { readonly p50?: number; readonly p99?: number; readonly max?: number } | undefined;
  /** The command lines that were run. */
  readonly settings: readonly string[];
  readonly notes?: readonly string[] | undefined;
}

/** A session of its own that does nothing but ask the broker whether it is there. */
export interface Pinger {
  /** Resolves with the answer. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
export type ConnectPinger = (endpoint: RunningSubject["endpoint"]) => Promise<Pinger>;
