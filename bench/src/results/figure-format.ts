import type { Spread } from "@millrace/load";
import { threeDigits } from "@millrace/load/internal";

/** What a figure is counted in; decides how it is written. */
export type FigureUnit = "per-second" | "ms" | "bytes" | "seconds-per-million" | "cores" | "plain";

/** Said for a figure that was not measured. */
export const NO_FIGURE = "-";

/** With its own prefix and short unit: `1.23 M/s`, `45.6 ms`, `12.0 MiB`. */
export function formatFigure(value: number | undefined, unit: FigureUnit): string {
  if (value === undefined || !Number.isFinite(value)) return NO_FIGURE;
  const { divisor, suffix } = scaleFor(value, unit);
  return `${threeDigits(value / divisor)}${suffix}`;
}

/** All three figures in the unit of the median: `1.23 M/s (1.20..1.31)`; one figure alone where there is one. */
export function formatSpread(spread: Spread | undefined, unit: FigureUnit): string {
  const range = formatRange(spread, unit);
  const median = formatFigure(spread?.median, unit);
  return range === "" ? median : `${median} (${range})`;
}

/** The smallest and the largest in the unit of the median, without a unit: `1.20..1.31`; empty with one sample. */
export function formatRange(spread: Spread | undefined, unit: FigureUnit): string {
  if (spread === undefined || spread.samples.length < 2) return "";
  const { divisor } = scaleFor(spread.median, unit);
  return `${threeDigits(spread.min / divisor)}..${threeDigits(spread.max / divisor)}`;
}

export function formatRatio(ratio: number | null | undefined): string {
  if (ratio === null || ratio === undefined || !Number.isFinite(ratio)) return NO_FIGURE;
  return `${threeDigits(ratio)}x`;
}

/** The unit that a scenario's own figure is in, told by the end of its name: `recoveryMs`, `bytesPerConnection`. */
export function unitOfName(name: string): FigureUnit {
  if (/Ms$|^ms[A-Z]/.test(name)) return "ms";
  if (/Bytes$|^bytes([A-Z]|$)/.test(name)) return "bytes";
  if (/PerSecond$/.test(name)) return "per-second";
  return "plain";
}

/** `bytesPerConnection` becomes `bytes per connection`; the unit that the figure carries itself is left out. */
export function titleOfName(name: string): string {
  const words = name
    .replace(/(?:Ms|Bytes)$/, "")
    .replace(/[A-Z]+(?![a-z])|[A-Z]/g, (word) => ` ${word.toLowerCase()}`);
  return words.replaceAll(/[-_]/g, " ").trim() || name;
}

function scaleFor(value: number, unit: FigureUnit): { divisor: number; suffix: string } {
  const size = Math.abs(value);
  if (unit === "per-second") {
    if (size >= 999.5e6) return { divisor: 1e9, suffix: " G/s" };
    if (size >= 999.5e3) return { divisor: 1e6, suffix: " M/s" };
    return size >= 9995 ? { divisor: 1000, suffix: " k/s" } : { divisor: 1, suffix: " /s" };
  }
  if (unit === "bytes") {
    if (size >= 1024 ** 3) return { divisor: 1024 ** 3, suffix: " GiB" };
    if (size >= 1024 ** 2) return { divisor: 1024 ** 2, suffix: " MiB" };
    return size >= 10_000 ? { divisor: 1024, suffix: " KiB" } : { divisor: 1, suffix: " B" };
  }
  if (unit === "ms") return { divisor: 1, suffix: " ms" };
  if (unit === "seconds-per-million") return { divisor: 1, suffix: " s/M" };
  return { divisor: 1, suffix: unit === "cores" ? " cores" : "" };
}
