import { errorCodeOf, removeQuietly, type Storage } from "../storage/storage.ts";

/**
 * A claim: an empty file whose name is an epoch. Whoever makes it owns the shard from the moment at which all lower ones are
 * gone, and for as long as it is there: so one look at one name tells an owner whether it still is. Two who take the shard
 * over at the same time cannot have the same epoch, since a name can be linked once only.
 *
 *     owner-00000012
 */
const CLAIM = /^owner-(\d{8})$/;
const EPOCH_DIGITS = 8;

/** What linking answers where files cannot have two names. */
const LINK_REFUSED = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "EXDEV", "EMLINK", "ENOSYS"]);

export function claimFileName(epoch: number): string {
  return `owner-${String(epoch).padStart(EPOCH_DIGITS, "0")}`;
}

/** The epoch of a claim's name, or undefined. */
export function parseClaimFileName(name: string): number | undefined {
  const epoch = CLAIM.exec(name)?.[1];
  return epoch === undefined ? undefined : Number(epoch);
}

/** The highest epoch that was ever claimed, as the names in the folder say; 0 without any. */
export function highestClaim(names: readonly string[]): number {
  return Math.max(0, ...names.map((name) => parseClaimFileName(name) ?? 0));
}

/** True while `epoch` owns the shard. A name that cannot be looked up counts as gone: who cannot tell must stop. */
export function holdsClaim(storage: Storage, directory: string, epoch: number): boolean {
  return storage.exists(`${directory}/${claimFileName(epoch)}`);
}

/**
 * An epoch for a new owner, which nobody else has or will have. Durable; the owner before still is one.
 *
 * The temporary name is made before the folder is listed, and whoever takes over removes those of all others before any
 * claim: so a claim that was removed is never made again by somebody who had listed the folder long ago, its link fails.
 *
 * @param token no two who take over at the same time have the same.
 * @param epochAfter the epoch to claim, where these are the names in the folder. What it throws ends the attempt.
 * @returns undefined when somebody else was faster: try again
 */
export function claimEpoch(
  storage: Storage,
  directory: string,
  token: number,
  epochAfter: (names: readonly string[]) => number,
): number | undefined {
  const temporary = `${directory}/${temporaryNameOf(token)}`;
  storage.close(storage.open(temporary, "create"));
  let epoch: number;
  try {
    epoch = epochAfter(storage.list(directory));
    const path = `${directory}/${claimFileName(epoch)}`;
    if (!linked(storage, temporary, path)) return undefined;
  } finally {
    removeQuietly(storage, temporary);
  }
  storage.syncDirectory(directory);
  return epoch;
}

/**
 * Makes the owner of `epoch` the only one: removes the claims of all before. From here on what they try to rename fails,
 * since all temporary files go too: they look at their claim between making such a file and renaming it.
 */
export function deposeOthers(storage: Storage, directory: string, epoch: number): void {
  const before = storage.list(directory);
  unlinkAll(storage, directory, before.filter(isTemporaryClaim));
  const lower = before.filter((name) => (parseClaimFileName(name) ?? epoch) < epoch);
  unlinkAll(storage, directory, lower);
  const temporaries = storage.list(directory).filter((name) => name.endsWith(".tmp"));
  unlinkAll(storage, directory, temporaries);
}

function temporaryNameOf(token: number): string {
  return `owner-${(token >>> 0).toString(16)}.tmp`;
}

function isTemporaryClaim(name: string): boolean {
  return name.startsWith("owner-") && name.endsWith(".tmp");
}

/** @returns false when the name is taken, or the temporary file was removed by somebody who took the shard over. */
function linked(storage: Storage, temporary: string, path: string): boolean {
  try {
    storage.link(temporary, path);
    return true;
  } catch (error) {
    const code = errorCodeOf(error) ?? "";
    if (code === "EEXIST" || code === "ENOENT") return false;
    if (!LINK_REFUSED.has(code)) throw error;
    // Only the lock of the data folder keeps two apart there.
    if (storage.exists(path)) return false;
    storage.rename(temporary, path);
    return true;
  }
}

/** Others may be removing the same. */
function unlinkAll(storage: Storage, directory: string, names: readonly string[]): void {
  for (const name of names) {
    try {
      storage.unlink(`${directory}/${name}`);
    } catch (error) {
      if (errorCodeOf(error) !== "ENOENT") throw error;
    }
  }
}
