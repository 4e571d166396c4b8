import { readFileSync } from "node:fs";
import { request } from "node:http";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import type { Test } from "tap";
import { wallMs } from "./clock.ts";
import { ClusterNodes, nodeLogLines } from "./cluster-nodes.ts";
import type { ForeignProcess } from "./foreign-process.ts";
import { type Exit, OwnedProcess } from "./owned-process.ts";
import { MILLRACE_BIN } from "./repository.ts";
import { clusterArgs, TEST_TARGET, type TestTarget } from "./test-target.ts";

/** See there. */
const SMALL_SEGMENTS_MAIN = fileURLToPath(new URL("./small-segments-main.js", import.meta.url));
const CRASHABLE_MAIN = fileURLToPath(new URL("./crashable-main.js", import.meta.url));

/** From here on `serve` makes several processes unasked. */
const CORES_FOR_SEVERAL = 8;

export interface BrokerOptions {
  readonly dataDir: string;
  /** Further arguments of `millrace serve`. */
  readonly args?: readonly string[] | undefined;
  /** Of the journal's segments, a multiple of 4096; by default they follow the size of the volume. */
  readonly segmentBytes?: number | undefined;
  /** Each SIGUSR2 lets one of its shard threads die. */
  readonly isCrashable?: boolean | undefined;
  /** 0, any free port, unless stated. */
  readonly port?: number | undefined;
  /** A command with its arguments that runs the broker, such as strace. */
  readonly wrapper?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly uid?: number | undefined;
  /** That of the test run unless stated. */
  readonly target?: TestTarget | undefined;
}

/** One line of the broker's JSON log. */
export interface LogLine {
  readonly time: string;
  readonly level: string;
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** A `millrace serve`: a process of its own, or several that are one broker, as the test run wants it. */
export class BrokerProcess {
  /** Of a cluster its supervisor. */
  readonly process: OwnedProcess;
  readonly url: string;
  readonly #dataDir: string;
  readonly #startedMs: number;
  readonly #nodes: ClusterNodes | undefined;

  private constructor(
    process: OwnedProcess,
    dataDir: string,
    startedMs: number,
    nodes: ClusterNodes | undefined,
  ) {
    this.process = process;
    this.url = listeningUrl(process) as string;
    this.#dataDir = dataDir;
    this.#startedMs = startedMs;
    this.#nodes = nodes;
  }

  /** Starts a process and does not wait for it. */
  static launch(t: Test, options: BrokerOptions): OwnedProcess {
    return launch(t, options);
  }

  /** Starts a broker and waits until it listens; rejects with all that it printed when it ends instead. */
  static async start(t: Test, options: BrokerOptions): Promise<BrokerProcess> {
    const startedMs = wallMs();
    const process = launch(t, options);
    const nodes = targetOf(options) === "cluster" ? ownNodes(t, options.dataDir, process) : undefined;
    await process.printed(() => listeningUrl(process) !== undefined, "the broker to listen");
    return new BrokerProcess(process, options.dataDir, startedMs, nodes);
  }

  /** Starts a broker that must refuse to; resolves with how it ended and the `error CODE: message` it printed. */
  static async refused(t: Test, options: BrokerOptions): Promise<Exit & { readonly message: string }> {
    const process = launch(t, options);
    const exit = await Promise.race([
      process.exited,
      process
        .printed(() => listeningUrl(process) !== undefined, "the broker to listen or to end")
        .then(
          () => Promise.reject(new Error(`the broker started:\n${process.stdout}`)),
          () => process.exited,
        ),
    ]);
    return { ...exit, message: process.stderr.trim() };
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  get pid(): number {
    return this.process.pid;
  }

  /** What it has logged so far. What the nodes of a cluster say is taken from their own files: the supervisor repeats it later. */
  get log(): LogLine[] {
    const lines = logLines(this.process);
    if (this.#nodes === undefined) return lines;
    const own = lines.filter(({ node }) => node === undefined);
    return [...own, ...nodeLogLines(this.#dataDir, this.#startedMs)];
  }

  /** Lines of one event. */
  logged(event: string): LogLine[] {
    return this.log.filter((line) => line.event === event);
  }

  /** The processes of a cluster's nodes, by number; none of a broker of one process. */
  get nodes(): ReadonlyMap<number, ForeignProcess> {
    return this.#nodes?.byId ?? new Map();
  }

  /** kill -9; of a cluster all at once, as far as that can be, the supervisor first. */
  async kill(): Promise<void> {
    await this.process.kill("SIGKILL");
    await this.#nodes?.killAll();
  }

  /** SIGTERM, and how it ended. */
  async stop(): Promise<Exit> {
    return this.process.kill("SIGTERM");
  }

  /** Resident memory, bytes; of a cluster that of the node that has most. Linux only. */
  rssBytes(): number {
    return this.#statusBytes("VmRSS");
  }

  /** The most that `rssBytes` ever was. */
  peakRssBytes(): number {
    return this.#statusBytes("VmHWM");
  }

  #statusBytes(field: string): number {
    const nodes = [...this.nodes.values()].filter(({ isRunning }) => isRunning);
    const pids = nodes.length > 0 ? nodes.map(({ pid }) => pid) : [this.pid];
    return Math.max(...pids.map((pid) => statusBytes(pid, field)));
  }

  async get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<HttpAnswer> {
    return httpGet(this.port, path, headers);
  }
}

function statusBytes(pid: number, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * 1024;
}

/** The nodes that this supervisor has started by then; they end with the test, and after the supervisor, who would start them again. */
function ownNodes(t: Test, dataDir: string, supervisor: OwnedProcess): ClusterNodes {
  const nodes = new ClusterNodes(dataDir, () => logLines(supervisor));
  t.teardown(async () => {
    await supervisor.kill("SIGKILL");
    await nodes.killAll();
    nodes.close();
  });
  return nodes;
}

/** Segments of another size are those of a broker of one process. */
function targetOf({ target = TEST_TARGET, segmentBytes }: BrokerOptions): TestTarget {
  return segmentBytes === undefined ? target : "process";
}

/** A large machine serves with several processes unless it is told how many threads one has; so many are its default. */
function oneProcess(options: BrokerOptions): { readonly MILLRACE_THREADS?: string } {
  const cores = availableParallelism();
  const isAsked = targetOf(options) === "process" && options.args?.includes("--nodes") !== true;
  return isAsked && cores >= CORES_FOR_SEVERAL ? { MILLRACE_THREADS: String(cores - 1) } : {};
}

/** One GET to 127.0.0.1. */
export function httpGet(
  port: number,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  method: string = "GET",
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const call = request({ host: "127.0.0.1", port, path, method, headers, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, body, headers: response.headers }),
      );
    });
    call.on("upgrade", (_response, socket) => {
      socket.destroy();
      resolve({ status: 101, body: "", headers: {} });
    });
    call.on("error", reject);
    call.end();
  });
}

function launch(t: Test, options: BrokerOptions): OwnedProcess {
  const { dataDir, segmentBytes, port = 0, args = [], wrapper = [], env, uid } = options;
  const command = [
    ...wrapper,
    process.execPath,
    entryOf(options),
    "serve",
    "--port",
    String(port),
    "--data",
    dataDir,
    "--log-format",
    "json",
    ...args,
    ...(targetOf(options) === "cluster" ? clusterArgs(dataDir, args) : []),
  ];
  return new OwnedProcess(t, command[0] as string, command.slice(1), {
    env: { MILLRACE_TEST_SEGMENT_BYTES: segmentBytes?.toString(), ...oneProcess(options), ...env },
    uid,
  });
}

function entryOf({ segmentBytes, isCrashable }: BrokerOptions): string {
  if (segmentBytes !== undefined) return SMALL_SEGMENTS_MAIN;
  return isCrashable === true ? CRASHABLE_MAIN : MILLRACE_BIN;
}

function listeningUrl(process: OwnedProcess): string | undefined {
  return logLines(process).find((line) => line.event === "listening")?.url as string | undefined;
}

function logLines(process: OwnedProcess): LogLine[] {
  return process.lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as LogLine);
}
