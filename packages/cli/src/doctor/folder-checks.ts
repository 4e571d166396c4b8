import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { FolderUse } from "@millrace/broker/internal";
import type { Settings } from "../config/settings.ts";
import { roundedSizeText } from "../output/unit-text.ts";
import type { Check } from "./check.ts";

/** What is known of the data folder before its files are read. */
export interface FolderFacts {
  readonly checks: readonly Check[];
  /** Of the folder, if it is there. */
  readonly shards: number | undefined;
  /** Processes that it belongs to at the moment; undefined when nobody runs on it. */
  readonly owners: readonly number[] | undefined;
}

const NAME = "data folder";

/** Whether a broker runs on the folder, and whether this configuration could. Reads nothing but its description. */
export async function checkFolder(settings: Settings): Promise<FolderFacts> {
  const { folderUse, readDataFolder } = await import("@millrace/broker/internal");
  const dataDir = resolve(settings.data);
  if (!existsSync(dataDir)) {
    const sentence = `${dataDir} is not there yet: a start makes it`;
    return { checks: [{ name: NAME, state: "ok", sentence }], shards: undefined, owners: undefined };
  }
  let shards: number | undefined;
  // What is wrong with the folder itself is found when it is read.
  if (existsSync(join(dataDir, "millrace.json"))) shards = shardsOf(() => readDataFolder(dataDir));
  const use: FolderUse = await folderUse(dataDir).catch(() => ({ holder: undefined, nodePids: [] }));
  const checks = [useCheck(dataDir, use)];
  if (shards !== undefined && settings.shards !== undefined && settings.shards !== shards) {
    checks.push({
      name: NAME,
      state: "failed",
      sentence: `${dataDir} was made with ${shards} shards, and ${settings.shards} are configured: their number never changes`,
      advice: "leave shards out of the configuration",
    });
  }
  const { holder, nodePids } = use;
  const isInUse = holder !== undefined || nodePids.length > 0;
  const pids = holder?.pid === undefined ? nodePids : [holder.pid, ...nodePids];
  return { checks, shards, owners: isInUse ? pids : undefined };
}

/** Who runs on the folder. */
export function useCheck(dataDir: string, { holder, nodePids }: FolderUse): Check {
  const count = nodePids.length === 1 ? "1 node" : `${nodePids.length} nodes`;
  const nodes = `${count} of a cluster (${nodePids.map((pid) => `process ${pid}`).join(", ")})`;
  if (holder !== undefined) {
    const { pid = "unknown", version = "unknown" } = holder;
    const more = nodePids.length === 0 ? "" : `, with ${nodes}`;
    return {
      name: NAME,
      state: "ok",
      sentence: `${dataDir}: process ${pid} runs on it, version ${version}${more}`,
    };
  }
  if (nodePids.length === 0) return { name: NAME, state: "ok", sentence: `${dataDir}: no broker runs on it` };
  return {
    name: NAME,
    state: "warning",
    sentence: `${dataDir}: in use by ${nodes} without a supervisor: no shard moves, and no node that ends is started again`,
    advice: 'start one, with the same "millrace serve" as before: it takes over the nodes as they are',
  };
}

function shardsOf(read: () => { readonly shards: number }): number | undefined {
  try {
    return read().shards;
  } catch {
    return undefined;
  }
}

/** The file system that the data folder is on, or will be. */
export async function checkVolume(settings: Settings): Promise<Check[]> {
  const { diskLowBytesFor, fileSystemOf, measureVolume } = await import("@millrace/broker/internal");
  let folder = resolve(settings.data);
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  const { totalBytes, freeBytes } = await measureVolume(folder);
  const { name: kind, isShared } = fileSystemOf(folder);
  const checks = [roomCheck(kind, totalBytes, freeBytes, diskLowBytesFor(totalBytes))];
  const shared = sharedVolumeCheck(kind, isShared);
  return shared === undefined ? checks : [...checks, shared];
}

export function roomCheck(kind: string, totalBytes: number, freeBytes: number, lowBytes: number): Check {
  const name = "volume";
  if (totalBytes === 0)
    return { name, state: "ok", sentence: `${kind}, which does not say how much room it has` };
  const sentence = `${kind}, ${roundedSizeText(freeBytes)} of ${roundedSizeText(totalBytes)} free`;
  if (freeBytes >= 2 * lowBytes) return { name, state: "ok", sentence };
  const advice = "make room, or lower retention-total";
  if (freeBytes >= lowBytes) return { name, state: "warning", sentence, advice };
  const refused = `${sentence}: publishes are refused below ${roundedSizeText(lowBytes)}`;
  return { name, state: "warning", sentence: refused, advice };
}

/** Undefined for a local one. */
export function sharedVolumeCheck(kind: string, isShared: "yes" | "perhaps" | "no"): Check | undefined {
  const name = "volume";
  const advice = "keep the data folder on a local disk";
  if (isShared === "yes") {
    const sentence = `${kind} is a network file system, which cannot say who owns a shard: a start refuses it`;
    return { name, state: "failed", sentence, advice };
  }
  if (isShared === "no" || process.platform !== "linux") return undefined;
  return { name, state: "warning", sentence: `${kind} may be a network file system`, advice };
}
