import { MillraceError } from "@millrace/protocol";
import { releaseReserve } from "../storage/disk-reserve.ts";
import { isDiskFull, replaceFile, type Storage } from "../storage/storage.ts";
import { holdsFence } from "./fence.ts";

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
    writeMark(storage, directory, reason);
  } catch {
    // The disk is failing already, and the caller reports the first failure.
  }
}

function writeMark(storage: Storage, directory: string, reason: string): void {
  const bytes = Buffer.from(`${reason}\n`);
  try {
    replaceFile(storage, directory, QUARANTINE_FILE, bytes);
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    if (releaseReserve(storage, directory)) replaceFile(storage, directory, QUARANTINE_FILE, bytes);
    else {
      // Its name is what counts, and takes hardly any room.
      storage.close(storage.open(`${directory}/${QUARANTINE_FILE}`, "create"));
      storage.syncDirectory(directory);
    }
  }
}

/** Marks the shard's folder for a failure, unless it says that somebody else owns the shard by now. */
export function quarantineFor(
  failure: MillraceError,
  storage: Storage,
  directory: string,
  epoch: number,
): void {
  if (failure.details.reason === "fenced" || !isOwner(storage, directory, epoch)) return;
  markQuarantined(storage, directory, failure.message);
}

function isOwner(storage: Storage, directory: string, epoch: number): boolean {
  try {
    return holdsFence(storage, directory, epoch);
  } catch {
    return true;
  }
}
