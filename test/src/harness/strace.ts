import { spawnSync } from "node:child_process";
import { join } from "node:path";
import type { Test } from "tap";
import { temporaryFolder } from "./temporary-folder.ts";

/** Why processes cannot be traced here, or undefined when they can. */
export function whyNoStrace(t: Test): string | undefined {
  const output = join(temporaryFolder(t), "trace");
  // With all that the tests use: an old strace lacks some of it, a container may forbid ptrace.
  const probe = spawnSync("strace", [...straceArguments(output, ["fdatasync"]).slice(1), "true"], {
    encoding: "utf8",
  });
  if (probe.error !== undefined) return "strace is not installed";
  return probe.status === 0 ? undefined : `strace does not work here: ${probe.stderr.trim()}`;
}

/** A command that runs another one traced, as its child's process itself: signals reach the one that is traced. */
export function straceArguments(
  output: string,
  calls: readonly string[],
  ...more: readonly string[]
): string[] {
  return ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", output, "-e", `trace=${calls.join()}`, ...more];
}
