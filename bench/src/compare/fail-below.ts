/** What is left of a figure, as a share of what it was; below it a check fails. */
export const FAIL_BELOW = 0.85;

/** @throws RangeError for anything but a number between 0 and 1 */
export function parseShare(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const share = Number(text);
  if (text.trim() === "" || !(share > 0 && share <= 1))
    throw new RangeError(`--fail-below takes a number above 0 and up to 1: got ${text}`);
  return share;
}
