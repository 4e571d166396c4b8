/** Three significant digits, no exponent, at most four decimals: `0.0123`, `1.23`, `12.3`, `123`, `12345`; `-` for what is no number. */
export function threeDigits(value: number): string {
  if (!Number.isFinite(value)) return "-";
  if (value === 0) return "0";
  const rounded = Number(value.toPrecision(3));
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(rounded))));
  return value.toFixed(Math.min(4, digits));
}
