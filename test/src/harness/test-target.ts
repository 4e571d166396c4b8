import { existsSync } from "node:fs";
import { join } from "node:path";

/** What `BrokerProcess.start` starts: one process, or a cluster with a supervisor. */
export type TestTarget = "process" | "cluster";

const CLUSTER_NODES = 3;
/** Of a new folder, where a test has no opinion. */
const CLUSTER_SHARDS = 4;

/** MILLRACE_TEST_TARGET. The tests of a broker run with both; those to which a cluster means nothing say so in their first lines. */
export const TEST_TARGET: TestTarget = targetOf(process.env.MILLRACE_TEST_TARGET);

function targetOf(name: string = "process"): TestTarget {
  if (name === "process" || name === "cluster") return name;
  throw new Error(`MILLRACE_TEST_TARGET must be process or cluster: ${name}`);
}

/** Further arguments of `millrace serve` for a cluster on that folder. */
export function clusterArgs(dataDir: string, args: readonly string[]): string[] {
  const isNew = !existsSync(join(dataDir, "millrace.json"));
  const shards = isNew && !args.includes("--shards") ? ["--shards", String(CLUSTER_SHARDS)] : [];
  return ["--nodes", String(CLUSTER_NODES), ...shards];
}
