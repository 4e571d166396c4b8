import { threeDigits } from "@millrace/load/internal";

const STEPS: readonly (readonly [number, string])[] = [
  [1e6, " M/s"],
  [1e3, " k/s"],
  [1, "/s"],
];

/** A rate for people, three digits: `1.23 M/s`, `45.6 k/s`, `789/s`. */
export function rateText(perSecond: number): string {
  const [step, unit] = STEPS.find(([size]) => perSecond >= size * 0.9995) ?? [1, "/s"];
  return `${threeDigits(perSecond / step)}${unit}`;
}
