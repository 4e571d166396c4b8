/** Cost of a record as a line over its size: microseconds of CPU. */
export interface CostFit {
  readonly perRecordUs: number;
  readonly perByteNs: number;
  /** Largest distance of a measured cost from the line, as a share of the measured one. */
  readonly worstError: number;
}

/** One measured size. */
export interface CostPoint {
  readonly valueBytes: number;
  readonly costUs: number;
}

/**
 * Least squares of the relative errors: sizes span three powers of ten, and with absolute ones the largest alone would decide
 * what a record costs. Undefined for less than two sizes.
 */
export function fitCost(points: readonly CostPoint[]): CostFit | undefined {
  const known = points.filter(({ costUs }) => costUs > 0);
  if (new Set(known.map(({ valueBytes }) => valueBytes)).size < 2) return undefined;
  let s = 0;
  let sx = 0;
  let sxx = 0;
  let sy = 0;
  let sxy = 0;
  for (const { valueBytes: x, costUs: y } of known) {
    const weight = 1 / (y * y);
    s += weight;
    sx += weight * x;
    sxx += weight * x * x;
    sy += weight * y;
    sxy += weight * x * y;
  }
  const perByteUs = (s * sxy - sx * sy) / (s * sxx - sx * sx);
  const perRecordUs = (sy - perByteUs * sx) / s;
  const errors = known.map(
    ({ valueBytes, costUs }) => Math.abs(perRecordUs + perByteUs * valueBytes - costUs) / costUs,
  );
  return { perRecordUs, perByteNs: perByteUs * 1000, worstError: Math.max(...errors) };
}
