import { delay, monotonicMs } from "@millrace/load/internal";
import { freeBytes } from "../harness/file-system.ts";
import type { Counters } from "../harness/sampling.ts";
import { FREE_BYTES_MIN } from "./log-plan.ts";

const SLICE_MS = 5_000;
/** At least so many slices, however short the window is. */
const SLICES_MIN = 5;
const GUARD_INTERVAL_MS = 250;

/** The rate in the course of a window: an average hides a collapse at its end. */
export interface SlicedWindow {
  readonly sliceMs: number;
  /** Bytes per second, slice by slice. */
  readonly bytesPerSecond: readonly number[];
  /** The disk was getting full. */
  readonly cutShort: boolean;
}

/** Lets a window pass, or as much of it as there is room on the disk for. */
export async function passWindow(
  mark: () => Promise<Counters>,
  durationMs: number,
  folder: string,
): Promise<SlicedWindow> {
  const sliceMs = Math.min(SLICE_MS, durationMs / SLICES_MIN);
  const bytesPerSecond: number[] = [];
  const fromMs = monotonicMs();
  let before = await mark();
  let cutShort = false;
  for (let slice = 1; slice * sliceMs <= durationMs && !cutShort; slice++) {
    const untilMs = fromMs + slice * sliceMs;
    while (monotonicMs() < untilMs && !cutShort) {
      await delay(Math.min(GUARD_INTERVAL_MS, untilMs - monotonicMs()));
      cutShort = freeBytes(folder) < FREE_BYTES_MIN;
    }
    const now = await mark();
    bytesPerSecond.push(((now.bytes - before.bytes) * 1000) / (now.timeMs - before.timeMs));
    before = now;
  }
  return { sliceMs, bytesPerSecond, cutShort };
}

export function formatSlices(label: string, { sliceMs, bytesPerSecond, cutShort }: SlicedWindow): string {
  const rates = bytesPerSecond.map((rate) => (rate / 1e6).toFixed(0)).join(" ");
  const cut = cutShort ? "; cut short, the disk was getting full" : "";
  return `${label}, MB/s by ${(sliceMs / 1000).toFixed(sliceMs % 1000 === 0 ? 0 : 1)} s: ${rates}${cut}`;
}
