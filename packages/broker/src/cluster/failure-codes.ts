import { MillraceError } from "@millrace/protocol";

/** Trying again would meet the same files. */
const PERMANENT = new Set(["JOURNAL_QUARANTINED", "JOURNAL_DAMAGED", "DATA_FORMAT_NEWER", "JOURNAL_FAILED"]);

/** What a node says of a shard that it could not open, or has lost: the code of a MillraceError or of NodeControlErrorCode. */
export function failureCodeOf(error: unknown): string {
  // A journal of which somebody else is the owner is as good as it was.
  if (error instanceof MillraceError) return error.details.reason === "fenced" ? "FENCED" : error.code;
  const { code } = error as { readonly code?: unknown };
  return typeof code === "string" ? code : "INTERNAL";
}

/** The shard is out of service until somebody has repaired it; else it may well be opened again, here or elsewhere. */
export function needsRepair(code: string): boolean {
  return PERMANENT.has(code);
}
