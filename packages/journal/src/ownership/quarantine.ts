import { MillraceError } from "@millrace/protocol";
import { crc32 } from "@millrace/protocol/internal";
import { releaseReserve } from "../storage/disk-reserve.ts";
import { isDiskFull, type Storage } from "../storage/storage.ts";
import { highestClaim } from "./claim.ts";
import { holdsFence, replaceFileFenced, requireFence } from "./fence.ts";

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
function markQuarantined(
  storage: Storage,
  directory: string,
  epoch: number,
  reason: string,
  committedPosition: number,
): void {
  try {
    writeMark(storage, directory, epoch, Buffer.from(markText(reason, committedPosition)));
  } catch {
    // The disk is failing already, and the caller reports the first failure.
  }
}

const COMMITTED = /^everything before position (\d+) had been synced \(crc32 ([0-9a-f]{8})\)$/m;

/** For people, and with the one fact that a repair needs: where the journal can be cut and nothing promised is lost. */
function markText(reason: string, committedPosition: number): string {
  const position = String(committedPosition);
  return `${reason}\neverything before position ${position} had been synced (crc32 ${checksumText(position)})\n`;
}

/** The position that a mark states, or undefined where it does not, or its checksum is wrong. */
export function committedPositionOf(mark: string): number | undefined {
  const [, position = "", checksum] = COMMITTED.exec(mark) ?? [];
  return checksum !== undefined && checksum === checksumText(position) ? Number(position) : undefined;
}

function checksumText(text: string): string {
  return crc32(Buffer.from(text), 0, text.length).toString(16).padStart(8, "0");
}

function writeMark(storage: Storage, directory: string, epoch: number, bytes: Uint8Array): void {
  try {
    replaceFileFenced(storage, directory, QUARANTINE_FILE, bytes, epoch);
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    if (releaseReserve(storage, directory)) {
      replaceFileFenced(storage, directory, QUARANTINE_FILE, bytes, epoch);
    } else {
      // Its name is what counts, and takes hardly any room.
      requireFence(storage, directory, epoch);
      storage.close(storage.open(`${directory}/${QUARANTINE_FILE}`, "create"));
      storage.syncDirectory(directory);
    }
  }
}

/**
 * Marks the shard's folder for a failure, unless it says that somebody else owns the shard by now.
 * @param committedPosition nothing behind it was reported as durable to anybody.
 */
export function quarantineFor(
  failure: MillraceError,
  storage: Storage,
  directory: string,
  epoch: number,
  committedPosition: number,
): void {
  if (failure.details.reason === "fenced" || !isOwner(storage, directory, epoch)) return;
  markQuarantined(storage, directory, epoch, failure.message, committedPosition);
}

/** A disk that fails may fail to say: then nobody else is known to own the shard. */
function isOwner(storage: Storage, directory: string, epoch: number): boolean {
  try {
    return holdsFence(storage, directory, epoch) || highestClaim(storage.list(directory)) <= epoch;
  } catch {
    return true;
  }
}
