import { readFileSync } from "node:fs";
import type { Repetition } from "@millrace/load";
import { type CommandedChild, monotonicMs } from "@millrace/load/internal";
import type { PingerCommands } from "../pings/pinger-process.ts";
import { idleResidentBytes } from "../run/idle-memory.ts";
import { MeasuredWindow } from "../run/measured-window.ts";
import type { SubjectRun } from "../run/subject-run.ts";
import type { Scenario } from "./scenario.ts";

const CONNECTIONS = 10_000;
/** Held before the count begins: what the first sessions cost once is not what each of them costs. */
const FIRST_CONNECTIONS = 100;
/** Of one process of the bench. */
const CONNECTIONS_PER_PROCESS = 5_000;
/** From one local address to one port, out of some 28,000 ports. */
const CONNECTIONS_PER_ADDRESS = 20_000;
/** Open files that a process needs besides. */
const FILES_BESIDE = 200;
const PAGE_BYTES = 4096;

/** Sessions that have said hello and are silent: what each of them takes of the broker's memory. */
export const idleConnections: Scenario = {
  name: "idle-connections",
  description: "10,000 idle sessions, plain and with TLS: resident memory of the broker for each",
  cases: ({ producers: asked }) => {
    const connections = asked ?? CONNECTIONS;
    return [false, true].map((tls) => ({
      durability: "memory",
      partitions: 1,
      parameters: { connections, tls },
      ...(tls ? { wants: { tls } } : {}),
      accepts: (subject) => subject.pinger !== undefined && (!tls || subject.name.startsWith("millrace")),
      measure: (run) => measure(run, connections),
    }));
  },
};

async function measure(run: SubjectRun, asked: number): Promise<Repetition> {
  const { children } = run.context;
  const { processes } = run.running;
  const connections = bounded(run, asked);
  const holders: CommandedChild<PingerCommands>[] = [];
  const hold = async (count: number): Promise<void> => {
    const holder = await children.fork<PingerCommands>(
      new URL("../pings/pinger-process.js", import.meta.url),
    );
    holders.push(holder);
    await open(run, holder, count);
  };
  try {
    await hold(FIRST_CONNECTIONS);
    const before = await idleResidentBytes(processes);
    const socketsBefore = socketBytes();
    const startedMs = monotonicMs();
    for (let left = connections; left > 0; left -= CONNECTIONS_PER_PROCESS) {
      await hold(Math.min(left, CONNECTIONS_PER_PROCESS));
      run.context.say(
        `${run.subject.name}: ${connections - Math.max(0, left - CONNECTIONS_PER_PROCESS)} connections`,
      );
    }
    const connectMs = monotonicMs() - startedMs;
    const after = await idleResidentBytes(processes);
    const window = new MeasuredWindow(
      { broker: processes, clients: [] },
      { timeMs: monotonicMs(), records: 0 },
    );
    await window.run(run.plan.durationMs, async () => ({ timeMs: monotonicMs(), records: 0 }));
    const idle = window.close({ timeMs: monotonicMs(), records: 0 }, 0);
    return {
      ...idle,
      figures: {
        connections,
        bytesPerConnection: (after - before) / connections,
        kernelBytesPerConnection: (socketBytes() - socketsBefore) / connections,
        connectMs,
        brokerIdleRssBytes: after,
      },
    };
  } finally {
    for (const holder of holders) await children.kill(holder.pid);
  }
}

async function open(
  run: SubjectRun,
  holder: CommandedChild<PingerCommands>,
  sessions: number,
): Promise<void> {
  const { pinger = "" } = run.subject;
  const addresses = Math.ceil(CONNECTIONS / CONNECTIONS_PER_ADDRESS);
  const localAddresses =
    addresses < 2 ? [] : Array.from({ length: addresses }, (_, index) => `127.0.0.${index + 1}`);
  const { opened, error } = await holder.call("open", {
    pinger,
    endpoint: run.running.endpoint,
    sessions,
    localAddresses,
  });
  if (error !== undefined) throw new Error(`only ${opened} of ${sessions} connections: ${error}`);
}

/** No more than this machine lets one process have open; says so where that is less than was asked for. */
function bounded(run: SubjectRun, asked: number): number {
  const limit = openFilesMax(run);
  if (limit >= asked + FIRST_CONNECTIONS + FILES_BESIDE) return asked;
  const connections = Math.max(1, limit - FIRST_CONNECTIONS - FILES_BESIDE);
  run.notes.add(
    `only ${connections} connections: the broker may have ${limit} files open (raise it with: ulimit -n ${asked + 1000})`,
  );
  return connections;
}

/** The least of the broker's processes: Node raises its own limit to the hard one when it starts. */
function openFilesMax(run: SubjectRun): number {
  const limits = run.running.processes.map(({ pid }) => {
    const match = /^Max open files\s+(\S+)/m.exec(readFileSync(`/proc/${pid}/limits`, "latin1"));
    return match?.[1] === "unlimited" ? Number.POSITIVE_INFINITY : Number(match?.[1] ?? 0);
  });
  return Math.min(...limits);
}

/** Memory of all TCP sockets of the machine, both ends of a loopback connection, as /proc/net/sockstat has it. */
function socketBytes(): number {
  const match = /^TCP:.* mem (\d+)/m.exec(readFileSync("/proc/net/sockstat", "latin1"));
  return Number(match?.[1] ?? 0) * PAGE_BYTES;
}
