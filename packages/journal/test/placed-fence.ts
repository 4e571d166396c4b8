import { claimFileName, deposeOthers } from "../src/ownership/claim.ts";
import { type Fence, writeFence } from "../src/ownership/fence.ts";
import type { Storage } from "../src/storage/storage.ts";

/** Makes the folder that of an owner with this fence, as if it had taken it over. */
export function placeFence(storage: Storage, directory: string, fence: Fence): void {
  storage.close(storage.open(`${directory}/${claimFileName(fence.epoch)}`, "create"));
  deposeOthers(storage, directory, fence.epoch);
  writeFence(storage, directory, fence);
}
