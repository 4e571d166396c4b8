import type { Durability } from "@millrace/load";

/** The three columns that figures stand in, weakest promise first. Figures of different columns do not compare. */
export const DURABILITY_COLUMNS: readonly Durability[] = ["memory", "written", "fsynced"];

const TITLES: Readonly<Record<Durability, string>> = {
  memory: "memory",
  written: "page cache",
  fsynced: "synced to disk",
};

const PROMISES: Readonly<Record<Durability, string>> = {
  memory: "an acknowledged record is in the broker's memory",
  written:
    "an acknowledged record is in the page cache of the kernel: it survives the broker, not the machine",
  fsynced: "an acknowledged record is on the disk: it survives the machine",
};

export function columnTitle(durability: Durability): string {
  return TITLES[durability] ?? durability;
}

export function columnPromise(durability: Durability): string {
  return PROMISES[durability] ?? "";
}
