import { EventEmitter } from "node:events";
import { Readable, Writable } from "node:stream";
import type { CommandContext } from "../src/command-context.ts";
import { runCommandLine } from "../src/command-line.ts";
import { failure, MemoryBroker } from "./memory-client.ts";

/** What the clock says. */
export const NOW_MS = 1_700_000_000_000;

/** What a run of the command line left behind. */
export interface CommandRun {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a run differs from an ordinary one. */
export interface CommandRunOptions {
  readonly broker?: MemoryBroker;
  readonly stdin?: Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>;
  /** The reader of standard output goes away after so many writes. */
  readonly stdoutClosesAfter?: number;
  /** Called with each write to standard output; `signal` delivers a signal to the command. */
  readonly onStdout?: (text: string, signal: (name: "SIGINT" | "SIGTERM" | "SIGHUP") => void) => void;
  readonly refuseConnection?: boolean;
  readonly loadBroker?: CommandContext["loadBroker"];
  readonly loadCluster?: CommandContext["loadCluster"];
  /** Default 2. */
  readonly cores?: number;
  readonly env?: CommandContext["env"];
}

/** Runs the command line in this process, against a broker in memory. */
export async function runCommand(
  args: readonly string[],
  options: CommandRunOptions = {},
): Promise<CommandRun> {
  const broker = options.broker ?? new MemoryBroker();
  const signals = Object.assign(new EventEmitter(), {
    exit(code: number): never {
      throw new Error(`exited at once with ${code}`);
    },
  });
  let stdout = "";
  let stderr = "";
  let writes = 0;
  const context: CommandContext = {
    stdin: Readable.from(options.stdin ?? [], { objectMode: false }),
    stdinBytes: () => undefined,
    stdout: new Writable({
      write(chunk: Buffer, _encoding, done) {
        if (writes++ >= (options.stdoutClosesAfter ?? Number.POSITIVE_INFINITY)) {
          done(failure("EPIPE", "write EPIPE"));
          return;
        }
        stdout += chunk.toString();
        options.onStdout?.(chunk.toString(), (name) => void signals.emit(name));
        done();
      },
    }),
    stderr: {
      write(text: string): void {
        stderr += text;
      },
    },
    env: options.env ?? {},
    clock: { wallMs: () => NOW_MS, monotonicMs: () => 0 },
    signals,
    async connect(url) {
      if (options.refuseConnection === true) throw failure("CONNECT_FAILED", `nobody listens on ${url}`);
      return broker.client(url);
    },
    loadBroker:
      options.loadBroker ??
      (async () => {
        throw new Error("this test has no broker to serve");
      }),
    loadCluster:
      options.loadCluster ??
      (async () => {
        throw new Error("this test has no cluster to serve");
      }),
    cores: options.cores ?? 2,
  };
  const exitCode = await runCommandLine(args, context);
  return { exitCode, stdout, stderr };
}
