import type { Gap } from "@millrace/client";

/** The line that says which offsets will not come. */
export function gapText(gap: Gap): string {
  const where = `${gap.topic} partition ${gap.partition}`;
  if (gap.fromOffset === gap.toOffset) return `gap: ${where} at offset ${gap.fromOffset} (${gap.reason})`;
  if (gap.toOffset < gap.fromOffset)
    return `gap: ${where} goes back from offset ${gap.fromOffset} to ${gap.toOffset} (${gap.reason})`;
  return `gap: ${where} offsets ${gap.fromOffset} to ${gap.toOffset - 1} will not come (${gap.reason})`;
}
