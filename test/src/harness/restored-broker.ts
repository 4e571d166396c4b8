import type { Test } from "tap";
import { BrokerProcess } from "./broker-process.ts";
import { runCommand } from "./millrace-command.ts";

/** Restores a backup with `millrace restore` and starts a broker on what it made. */
export async function restoredBroker(
  t: Test,
  source: string,
  dataDir: string,
  args: readonly string[] = [],
): Promise<BrokerProcess> {
  const { code, stderr } = await runCommand(t, ["restore", source, "--data", dataDir, ...args]);
  t.equal(code, 0, stderr);
  return BrokerProcess.start(t, { dataDir });
}
