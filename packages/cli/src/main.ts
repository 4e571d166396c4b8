import { fstatSync } from "node:fs";
import { availableParallelism } from "node:os";
import { connect } from "@millrace/client";
import type { CommandContext } from "./command-context.ts";
import { runCommandLine } from "./command-line.ts";
import { EXIT } from "./exit-code.ts";
import { SYSTEM_CLOCK } from "./system-clock.ts";

/** After a command has ended, a handle that it forgot may keep the process for so long. */
const EXIT_GRACE_MS = 2_000;

const context: CommandContext = {
  // A getter: touching process.stdin opens it, and only `pub` reads it.
  get stdin() {
    return process.stdin;
  },
  stdinBytes() {
    const stat = fstatSync(0);
    return stat.isFile() ? stat.size : undefined;
  },
  stdout: process.stdout,
  stderr: process.stderr,
  clock: SYSTEM_CLOCK,
  env: process.env,
  signals: process,
  connect,
  async loadBroker() {
    const { createBroker } = await import("@millrace/gateway");
    return createBroker;
  },
  async loadCluster() {
    const { createCluster } = await import("@millrace/gateway/internal");
    return createCluster;
  },
  cores: availableParallelism(),
};

function die(error: unknown): never {
  process.stderr.write(`error INTERNAL: ${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(EXIT.FAILED);
}

// With nobody left to read them, messages are lost; that must not change how the command ends.
process.stderr.on("error", () => {});
process.on("uncaughtException", die);
process.on("unhandledRejection", die);
process.exitCode = await runCommandLine(process.argv.slice(2), context);
setTimeout(() => process.exit(), EXIT_GRACE_MS).unref();
