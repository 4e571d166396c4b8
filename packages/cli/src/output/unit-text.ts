const DURATIONS: readonly (readonly [number, string])[] = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "m"],
  [1_000, "s"],
  [1, "ms"],
];

const SIZES: readonly (readonly [number, string])[] = [
  [1024 ** 4, "TiB"],
  [1024 ** 3, "GiB"],
  [1024 ** 2, "MiB"],
  [1024, "KiB"],
  [1, "B"],
];

/** A duration as `--retention` reads it, exactly: `7d`, `90m`; null is `forever`. */
export function durationText(milliseconds: number | null): string {
  return milliseconds === null ? "forever" : exactText(milliseconds, DURATIONS);
}

/** A size as `--retention-bytes` reads it, exactly: `10GiB`, `1500B`; null is `unlimited`. */
export function byteLimitText(bytes: number | null): string {
  return bytes === null ? "unlimited" : exactText(bytes, SIZES);
}

/** A size for people, rounded: `18.2 MiB`. */
export function roundedSizeText(bytes: number): string {
  const [unit, name] = SIZES.find(([size]) => bytes >= size) ?? [1, "B"];
  return unit === 1 ? `${bytes} B` : `${(bytes / unit).toFixed(1)} ${name}`;
}

function exactText(amount: number, units: readonly (readonly [number, string])[]): string {
  const [unit, name] = units.find(([size]) => amount % size === 0) ?? [1, ""];
  return `${amount / unit}${name}`;
}
