import { MillraceError } from "@millrace/protocol";
import type { ColdReadMessage } from "./cold-read-message.ts";
import type { ColdEntries, ColdReadResult } from "./cold-read-server.ts";

/** Cold entries from the journal's files. Reader thread only. */
export class JournalColdEntries implements ColdEntries {
  constructor(_shardsDirectory: string) {}
  read(_message: ColdReadMessage, _target: Buffer, _targetStart: number, _maxBytes: number): ColdReadResult {
    throw new MillraceError("READ_FAILED", "not there yet");
  }
  findTime(_message: ColdReadMessage): number {
    throw new MillraceError("READ_FAILED", "not there yet");
  }
}
