import type { Readable, Writable } from "node:stream";
import type { Client, ConnectOptions } from "@millrace/client";
import type { CreateBroker, CreateCluster } from "./commands/serve-broker.ts";
import type { ExitCode } from "./exit-code.ts";
import type { SignalSource } from "./interruption.ts";
import type { Terminal } from "./output/progress-bar.ts";
import type { Clock } from "./system-clock.ts";

/** What a command may touch of the world; main.ts gives the real one, tests their own. */
export interface CommandContext {
  readonly stdin: Readable;
  /** Size of standard input if it is a regular file. */
  stdinBytes(): number | undefined;
  readonly stdout: Writable;
  readonly stderr: Terminal;
  readonly clock: Clock;
  /** Environment variables. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signals: SignalSource;
  connect(url: string, options: ConnectOptions): Promise<Client>;
  /** Loads the broker only when it is wanted: its native module takes time, and not every platform has it. */
  loadBroker(): Promise<CreateBroker>;
  loadCluster(): Promise<CreateCluster>;
  /** What runs side by side on this machine. */
  readonly cores: number;
}

/** How a command hands its work over to the program, which turns its outcome into an exit code. */
export type RunCommand = (work: (context: CommandContext) => Promise<ExitCode>) => Promise<void>;
