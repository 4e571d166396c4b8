import { MillraceError } from "@millrace/protocol";
import { replaceFile, type Storage } from "../storage/storage.ts";

/** Present in a shard's folder after a write or sync failed there: what the disk holds is no longer known. */
export const QUARANTINE_FILE = "quarantined";

/** @throws MillraceError JOURNAL_QUARANTINED when the shard was quarantined by an earlier run. */
export function refuseQuarantined(storage: Storage, directory: string): void {
  const path = `${directory}/${QUARANTINE_FILE}`;
  if (!storage.exists(path)) return;
  throw new MillraceError(
    "JOURNAL_QUARANTINED",
    `a write or sync failed here earlier, so what the disk holds is not known: ${path}`,
    { details: { file: path } },
  );
}

/** Marks the shard's folder, as far as the failing disk lets us: the process stops using it in any case. */
export function markQuarantined(storage: Storage, directory: string, reason: string): void {
  try {
    replaceFile(storage, directory, QUARANTINE_FILE, Buffer.from(`${reason}\n`));
  } catch {
    // The disk is failing already, and the caller reports the first failure.
  }
}
