import { readFileSync } from "node:fs";
import { request } from "node:http";
import { fileURLToPath } from "node:url";
import type { Test } from "tap";
import { type Exit, OwnedProcess } from "./owned-process.ts";
import { MILLRACE_BIN } from "./repository.ts";

/** See there. */
const SMALL_SEGMENTS_MAIN = fileURLToPath(new URL("./small-segments-main.js", import.meta.url));

export interface BrokerOptions {
  readonly dataDir: string;
  /** Further arguments of `millrace serve`. */
  readonly args?: readonly string[] | undefined;
  /** Of the journal's segments, a multiple of 4096; by default they follow the size of the volume. */
  readonly segmentBytes?: number | undefined;
  /** 0, any free port, unless stated. */
  readonly port?: number | undefined;
  /** A command with its arguments that runs the broker, such as strace. */
  readonly wrapper?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly uid?: number | undefined;
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

/** A `millrace serve` in a process of its own. */
export class BrokerProcess {
  readonly process: OwnedProcess;
  readonly url: string;

  private constructor(process: OwnedProcess, url: string) {
    this.process = process;
    this.url = url;
  }

  /** Starts a process and does not wait for it. */
  static launch(t: Test, options: BrokerOptions): OwnedProcess {
    return launch(t, options);
  }

  /** Starts a broker and waits until it listens; rejects with all that it printed when it ends instead. */
  static async start(t: Test, options: BrokerOptions): Promise<BrokerProcess> {
    const process = launch(t, options);
    await process.printed(() => listeningUrl(process) !== undefined, "the broker to listen");
    return new BrokerProcess(process, listeningUrl(process) as string);
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

  /** What it has logged so far. */
  get log(): LogLine[] {
    return logLines(this.process);
  }

  /** Lines of one event. */
  logged(event: string): LogLine[] {
    return this.log.filter((line) => line.event === event);
  }

  /** kill -9. */
  async kill(): Promise<void> {
    await this.process.kill("SIGKILL");
  }

  /** SIGTERM, and how it ended. */
  async stop(): Promise<Exit> {
    return this.process.kill("SIGTERM");
  }

  /** Resident memory, bytes. Linux only. */
  rssBytes(): number {
    return this.#statusBytes("VmRSS");
  }

  /** The most that `rssBytes` ever was. */
  peakRssBytes(): number {
    return this.#statusBytes("VmHWM");
  }

  #statusBytes(field: string): number {
    const status = readFileSync(`/proc/${this.pid}/status`, "utf8");
    return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * 1024;
  }

  async get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<HttpAnswer> {
    return httpGet(this.port, path, headers);
  }
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
    segmentBytes === undefined ? MILLRACE_BIN : SMALL_SEGMENTS_MAIN,
    "serve",
    "--port",
    String(port),
    "--data",
    dataDir,
    "--log-format",
    "json",
    ...args,
  ];
  return new OwnedProcess(t, command[0] as string, command.slice(1), {
    env: { MILLRACE_TEST_SEGMENT_BYTES: segmentBytes?.toString(), ...env },
    uid,
  });
}

function listeningUrl(process: OwnedProcess): string | undefined {
  return logLines(process).find((line) => line.event === "listening")?.url as string | undefined;
}

function logLines(process: OwnedProcess): LogLine[] {
  return process.lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as LogLine);
}
