import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Test } from "tap";
import type { Logger } from "../../src/logger.ts";
import { readNodeFiles } from "../../src/supervisor/node-file.ts";
import { isRunning } from "../../src/supervisor/process-identity.ts";
import { Supervisor } from "../../src/supervisor/supervisor.ts";
import type { SupervisorLimits } from "../../src/supervisor/supervisor-limits.ts";
import type { SupervisorOptions } from "../../src/supervisor/supervisor-options.ts";
import { type FakeFaults, faultsPath, historyPath } from "./fake-files.ts";

export const FAKE_NODE: URL = new URL("./fake-node-main.js", import.meta.url);

/** tap puts a loader of its own into every process that is spawned; `env` takes it away. */
export const PLAIN_NODE: readonly string[] = ["env", "-u", "NODE_OPTIONS", process.execPath];

/** Fast enough for a test, and slow enough for a busy machine. */
export const FAST: Partial<SupervisorLimits> = {
  pingIntervalMs: 100,
  silenceMsMax: 1_500,
  closeMsMax: 1_000,
  drainMsMax: 3_000,
  backoffMinMs: 20,
  settleMinMs: 20,
  crashLoopDeaths: 2,
  logPollMs: 20,
};

export interface LogEntry {
  readonly level: string;
  readonly event: string;
  readonly [field: string]: unknown;
}

/** A data folder with fake nodes, and whoever supervises them. Nothing of it is left after the test. */
export class FakeCluster {
  readonly dataDir: string = mkdtempSync(join(tmpdir(), "millrace-supervisor-"));
  readonly log: LogEntry[] = [];
  readonly #supervisors: Supervisor[] = [];

  constructor(t: Test) {
    t.teardown(async () => {
      for (const supervisor of this.#supervisors) await supervisor.close().catch(() => {});
      for (const file of readNodeFiles(this.dataDir)) {
        if (isRunning(file)) process.kill(file.pid, "SIGKILL");
      }
      rmSync(this.dataDir, { recursive: true, force: true });
    });
  }

  get logger(): Logger {
    return { log: (level, event, fields) => void this.log.push({ ...fields, level, event }) };
  }

  options(nodes: number, more: Partial<SupervisorOptions> = {}): SupervisorOptions {
    return {
      dataDir: this.dataDir,
      host: "127.0.0.1",
      port: 0,
      nodes,
      shards: 4,
      nodeEntry: FAKE_NODE,
      nodeCommand: PLAIN_NODE,
      settings: {},
      logger: this.logger,
      limits: FAST,
      ...more,
    };
  }

  async start(nodes: number, more: Partial<SupervisorOptions> = {}): Promise<Supervisor> {
    const supervisor = await Supervisor.start(this.options(nodes, more));
    this.#supervisors.push(supervisor);
    return supervisor;
  }

  faults(faults: Readonly<Record<number, FakeFaults>>): void {
    writeFileSync(faultsPath(this.dataDir), JSON.stringify(faults));
  }

  logged(event: string): LogEntry[] {
    return this.log.filter((entry) => entry.event === event);
  }

  /** Process ids by node. */
  pids(): Map<number, number> {
    return new Map(readNodeFiles(this.dataDir).map(({ nodeId, pid }) => [nodeId, pid]));
  }

  /** `open 3 1`: what nodes did, with the shard's and the node's number; a VIOLATION is two owners of a shard. */
  history(): string[] {
    const path = historyPath(this.dataDir);
    return existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];
  }

  /** The node that has each shard by what nodes did. */
  owners(): (number | undefined)[] {
    const owners: (number | undefined)[] = [];
    for (const line of this.history()) {
      const [what, shard, node] = line.split(" ");
      if (what === "open") owners[Number(shard)] = Number(node);
      if (what === "close") owners[Number(shard)] = undefined;
    }
    return owners;
  }

  /** Shards of each of `nodes` nodes, sorted: [1, 1, 2]. */
  loads(nodes: number): number[] {
    const loads = new Array<number>(nodes).fill(0);
    for (const owner of this.owners()) if (owner !== undefined) loads[owner] = (loads[owner] ?? 0) + 1;
    return loads.sort();
  }
}

/** Resolves when `holds` does; the test's own time limit is the deadline. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(5);
}
