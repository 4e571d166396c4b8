import { BatchReader, LIMITS } from "@millrace/protocol";
import { BatchBuilder } from "@millrace/protocol/internal";

/** The stored payload (batch and checksum trailer) of records with these values. */
export function batchOf(values: readonly string[]): Uint8Array {
  const builder = new BatchBuilder(LIMITS.batchBytesMax);
  for (const value of values) {
    if (!builder.appendValue(value)) throw new Error(`batch is full: values=${values.length}`);
  }
  return builder.finish().slice();
}

/** The values of a stored payload; throws when its checksum does not fit. */
export function valuesOf(stored: Uint8Array): string[] {
  const reader = new BatchReader();
  reader.reset(stored, 0, stored.length);
  if (!reader.verifyChecksum()) throw new Error("a delivered batch does not fit its checksum");
  return Array.from({ length: reader.count }, (_, i) => Buffer.from(reader.valueAt(i)).toString());
}
