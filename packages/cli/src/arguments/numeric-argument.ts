import { InvalidArgumentError } from "commander";

/** A parser for commander that accepts a decimal integer from `minimum` to `maximum`. */
export function integerArgument(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= minimum && value <= maximum)) {
      throw new InvalidArgumentError(`It must be an integer from ${minimum} to ${maximum}.`);
    }
    return value;
  };
}

const DURATION_UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
};

/** `7d`, `12h`, `30m`, `45s`, `500ms`, `2w` in milliseconds, or `forever`; not null, of which Commander makes "". */
export function durationArgument(text: string): number | "forever" {
  if (text === "forever") return text;
  const milliseconds = durationMs(text);
  if (milliseconds === undefined) {
    throw new InvalidArgumentError('It must be a duration such as 7d, 12h, 30m, 45s, 500ms, or "forever".');
  }
  return milliseconds;
}

/** A duration of at least 1 ms, or undefined. */
export function durationMs(text: string): number | undefined {
  const match = /^(\d{1,15})(ms|s|m|h|d|w)$/.exec(text);
  const milliseconds = match === null ? 0 : Number(match[1]) * (DURATION_UNITS_MS[match[2]!] ?? Number.NaN);
  return milliseconds >= 1 && milliseconds <= Number.MAX_SAFE_INTEGER ? milliseconds : undefined;
}

const SIZE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};

/** `1048576`, `10MiB`, `2GB` in bytes, or `unlimited`; not null, of which Commander makes "". */
export function byteSizeArgument(text: string): number | "unlimited" {
  if (text === "unlimited") return text;
  const match = /^(\d{1,16})(B|[KMGT]i?B|)$/.exec(text);
  const bytes = match === null ? 0 : Number(match[1]) * (SIZE_UNITS[match[2]!] ?? Number.NaN);
  if (!(bytes >= 1 && bytes <= Number.MAX_SAFE_INTEGER)) {
    throw new InvalidArgumentError('It must be a size such as 1048576, 10MiB, 2GB, or "unlimited".');
  }
  return bytes;
}

/** A parser for commander that accepts a size such as `100`, `16KiB` from `minimum` to `maximum` bytes. */
export function byteCountArgument(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const match = /^(\d{1,16})(B|[KMGT]i?B|)$/.exec(text);
    const bytes = match === null ? Number.NaN : Number(match[1]) * (SIZE_UNITS[match[2]!] ?? Number.NaN);
    if (!(bytes >= minimum && bytes <= maximum)) {
      throw new InvalidArgumentError(
        `It must be a size such as 100 or 16KiB, from ${minimum} to ${maximum} bytes.`,
      );
    }
    return bytes;
  };
}

/** A parser for commander that accepts a duration such as `500ms`, `10s`, or `0`, of at most `maximum` ms. */
export function durationArgumentMs(maximum: number): (text: string) => number {
  return (text) => {
    const milliseconds = text === "0" ? 0 : durationMs(text);
    if (milliseconds === undefined || milliseconds > maximum) {
      throw new InvalidArgumentError(
        `It must be a duration such as 500ms, 10s, 2m, of at most ${maximum} ms.`,
      );
    }
    return milliseconds;
  };
}
