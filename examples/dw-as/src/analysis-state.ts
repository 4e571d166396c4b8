import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type { FiguresByAirport } from "./airport-figures.ts";

/** Where the analysis of one partition stands. */
export interface PartitionState {
  readonly partition: number;
  /** The next record to be counted. */
  nextOffset: number;
  /** When the broker stored the last one that was counted, in ms since the epoch. */
  lastTimeMs: number;
}

/** Figures and positions in one piece: whoever has the one has the other, so no flight counts twice or never. */
export interface AnalysisState {
  /** Flights that the figures hold. */
  flights: number;
  topicId: number | undefined;
  partitions: PartitionState[];
  figures: FiguresByAirport;
}

/** The state at the beginning. */
export function emptyState(partitions: number): AnalysisState {
  return {
    flights: 0,
    topicId: undefined,
    partitions: Array.from({ length: partitions }, (_, partition) => ({
      partition,
      nextOffset: 0,
      lastTimeMs: 0,
    })),
    figures: {},
  };
}

/** The state that was saved last; undefined when there is none. */
export function loadState(path: string): AnalysisState | undefined {
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as AnalysisState) : undefined;
}

/** Replaces the file as a whole: whenever the process dies, there is the old state or the new one. */
export function saveState(path: string, state: AnalysisState): void {
  const temporary = `${path}.new`;
  const file = openSync(temporary, "w");
  try {
    const bytes = Buffer.from(JSON.stringify(state));
    for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  const folder = openSync(dirname(path), "r");
  fsyncSync(folder);
  closeSync(folder);
}
