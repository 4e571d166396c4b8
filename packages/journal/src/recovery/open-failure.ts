import { MillraceError } from "@millrace/protocol";
import { errorCodeOf, isDiskFull } from "../storage/storage.ts";
import { type Recovered, type RecoveryOptions, recover } from "./recovery.ts";

/** Recovery, with errors of the file system told as what they mean for the shard. */
export function recoverOrExplain(options: RecoveryOptions): Recovered {
  try {
    return recover(options);
  } catch (error) {
    const code = errorCodeOf(error);
    if (code === undefined || error instanceof MillraceError) throw error;
    const name = isDiskFull(error) ? "DISK_FULL" : "JOURNAL_FAILED";
    const { directory } = options;
    throw new MillraceError(name, `journal cannot be opened: ${code} in ${directory}`, {
      details: { reason: "open", errno: code, directory },
      cause: error,
    });
  }
}
