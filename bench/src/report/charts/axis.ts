/** A scale of a chart: where a value stands, 0..1, and what is written beside it. */
export interface Axis {
  readonly title: string;
  readonly ticks: readonly Tick[];
  position(value: number): number;
}

export interface Tick {
  /** 0..1 */
  readonly at: number;
  /** Empty: a line without text. */
  readonly label: string;
}

/** Powers of ten with lines at 2 and 5 between; `min` and `max` must be positive. */
export function logarithmicAxis(
  title: string,
  min: number,
  max: number,
  format: (value: number) => string = plain,
): Axis {
  const first = logStepAtOrBelow(min);
  const last = Math.max(first + 1, logStepAtOrAbove(max));
  const low = Math.log10(logStep(first));
  const span = Math.log10(logStep(last)) - low;
  const position = (value: number): number => clamp((Math.log10(value) - low) / span);
  const sparse = last - first > 6;
  const ticks = Array.from({ length: last - first + 1 }, (_, index) => {
    const value = logStep(first + index);
    const labelled = !sparse || (first + index) % 3 === 0;
    return { at: position(value), label: labelled ? format(value) : "" };
  });
  return { title, ticks, position };
}

/**
 * As HdrHistogram's plotter draws it: 1 / (1 - percentile) on a logarithmic scale, so that each further nine has as
 * much room as the one before. `nines` is how many there are; values are quantiles, 0..1.
 */
export function percentileAxis(title: string, nines: number): Axis {
  const end = Math.max(1, nines);
  const position = (quantile: number): number => (quantile >= 1 ? 1 : clamp(-Math.log10(1 - quantile) / end));
  const labels = ["0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %", "99.99999 %"];
  const ticks = labels.slice(0, Math.floor(end) + 1).map((label, nine) => ({ at: nine / end, label }));
  return { title, ticks, position };
}

function plain(value: number): string {
  return String(Number(value.toPrecision(3)));
}

const LOG_STEPS = [1, 2, 5];

/** Step 0 is 1, step 1 is 2, step 2 is 5, step 3 is 10, step -1 is 0.5. */
function logStep(index: number): number {
  const decade = Math.floor(index / 3);
  return (LOG_STEPS[index - decade * 3] ?? 1) * 10 ** decade;
}

function logStepAtOrBelow(value: number): number {
  let index = Math.floor(Math.log10(value)) * 3 + 2;
  while (logStep(index) > value * (1 + 1e-9)) index--;
  return index;
}

function logStepAtOrAbove(value: number): number {
  const below = logStepAtOrBelow(value);
  return logStep(below) < value * (1 - 1e-9) ? below + 1 : below;
}

function clamp(share: number): number {
  return Number.isFinite(share) ? Math.min(1, Math.max(0, share)) : 0;
}
