import { type ConsumeMode, type Durability, type LoadTask, MILLRACE_DRIVER } from "@millrace/load";
import { CommandError } from "../command-error.ts";

/** What `millrace bench` can measure. */
export type BenchKind = "pub" | "sub" | "e2e" | "queue" | "keyed" | "rpc";

/** Options of every `millrace bench` command, as they were parsed. */
export interface BenchSettings {
  readonly url: string;
  /** Certificates in PEM. */
  readonly tlsCa: string | undefined;
  readonly topic: string;
  readonly durability: Durability;
  readonly partitions: number;
  readonly valueBytes: number;
  /** 0 = one record a frame. */
  readonly batchBytes: number;
  readonly lingerMs: number;
  readonly producers: number;
  readonly consumers: number;
  /** Records a second of all producers together; undefined = as fast as they are taken. */
  readonly rate: number | undefined;
  readonly keys: number;
  /** Messages that a consumer of a queue, or requests that a requester, has in hand. */
  readonly slots: number;
  /** At most so many generators a role; connections are shared out among them. */
  readonly generatorsMax: number;
}

export const BENCH_SUBSCRIPTION = "bench";
/** Records that a producer may have unacknowledged before it waits. */
const IN_FLIGHT_RECORDS = 1_000_000;
const BURST_RECORDS = 500;
/** Of a value that carries the time at which it was to be sent. */
const STAMP_BYTES = 8;

const CONSUME_MODES: Readonly<Record<BenchKind, ConsumeMode>> = {
  pub: "live",
  sub: "stream",
  e2e: "live",
  queue: "queue",
  keyed: "keyed",
  rpc: "live",
};

/** The generators of a bench: consumers and responders first, as they have to be there before the first record. */
export function planTasks(kind: BenchKind, settings: BenchSettings): LoadTask[] {
  checkSettings(kind, settings);
  const publishers = (): LoadTask[] => tasksOf(kind, settings, "publish", settings.producers);
  const consumers = (): LoadTask[] => tasksOf(kind, settings, "consume", settings.consumers);
  switch (kind) {
    case "pub":
      return publishers();
    case "sub":
      return consumers();
    case "rpc":
      return [
        ...tasksOf(kind, settings, "respond", settings.consumers),
        ...tasksOf(kind, settings, "request", settings.producers),
      ];
    default:
      return [...consumers(), ...publishers()];
  }
}

/** True where values carry the time at which they were to be sent. */
export function isStamped(kind: BenchKind): boolean {
  return kind !== "pub" && kind !== "sub";
}

function tasksOf(
  kind: BenchKind,
  settings: BenchSettings,
  role: LoadTask["role"],
  connections: number,
): LoadTask[] {
  const { url, tlsCa, rate } = settings;
  const generators = Math.min(connections, settings.generatorsMax);
  const isRequesting = role === "request";
  return Array.from({ length: generators }, (_, index) => {
    const own = shareOf(connections, generators, index);
    return {
      driver: MILLRACE_DRIVER,
      role,
      connections: own,
      recordsPerSecond: rate === undefined ? null : (rate * own) / connections,
      keys: settings.keys,
      burst: rate === undefined ? BURST_RECORDS : 1,
      inFlightMax: isRequesting ? settings.slots : IN_FLIGHT_RECORDS,
      settings: {
        endpoint: { url, ...(tlsCa === undefined ? {} : { tlsCa }) },
        target: settings.topic,
        partitions: settings.partitions,
        durability: settings.durability,
        valueBytes: settings.valueBytes,
        batchBytes: settings.batchBytes,
        lingerMs: settings.lingerMs,
        stamped: isStamped(kind),
        mode: CONSUME_MODES[kind],
        from: kind === "sub" ? "earliest" : "latest",
        subscription: kind === "queue" || kind === "keyed" ? BENCH_SUBSCRIPTION : "",
        slots: settings.slots,
        options: {},
      },
    };
  });
}

function shareOf(total: number, parts: number, index: number): number {
  return Math.floor(total / parts) + (index < total % parts ? 1 : 0);
}

/** @throws CommandError USAGE for options that contradict each other */
function checkSettings(kind: BenchKind, { keys, valueBytes }: BenchSettings): void {
  if (kind === "keyed" && keys === 0) throw new CommandError("USAGE", "keyed needs --keys of at least 1");
  if (isStamped(kind) && valueBytes < STAMP_BYTES) {
    throw new CommandError("USAGE", `--value must be at least ${STAMP_BYTES} bytes: each carries its time`);
  }
}
