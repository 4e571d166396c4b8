/** A name further away than this part of its length is another word, not a slip of the finger. */
const SLIPS_PART = 1 / 3;
/** What is longer is no name of ours, and not worth the time. */
const LENGTH_MAX = 64;

/** The one of `names` that `text` was probably meant to be, or begins: letter case, `-` and `_` do not count. */
export function nearestName(text: string, names: readonly string[]): string | undefined {
  if (text.length > LENGTH_MAX) return undefined;
  const plain = plainName(text);
  let nearest: string | undefined;
  let least = Math.floor(plain.length * SLIPS_PART) + 1;
  for (const name of names) {
    const slips = slipsBetween(plain, plainName(name));
    if (slips >= least) continue;
    nearest = name;
    least = slips;
  }
  return nearest ?? names.find((name) => plain.length >= 3 && plainName(name).startsWith(plain));
}

function plainName(name: string): string {
  return name.toLowerCase().replaceAll(/[-_]/g, "");
}

/** Letters left out, put in, changed, or two neighbours in the wrong order (optimal string alignment). */
function slipsBetween(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1];
      let slips = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        slips = Math.min(slips, beforeLast[j - 2]! + 1);
      }
      row.push(slips);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}
