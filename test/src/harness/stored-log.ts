import type { Gap, ReceivedRecord } from "@millrace/client";
import type { AckedRecord } from "./publishing-load.ts";
import { nameOfValue, recordValue } from "./test-records.ts";

/** What a topic must be like, given what was acknowledged. */
export interface LogExpectation {
  /** Offsets leave nothing out, and all that was acknowledged is there: true for what survives the crash tested. */
  readonly isComplete: boolean;
}

/**
 * Compares a topic, as it was read from its beginning, with the acks of its records. Returns what is wrong, a line
 * each; an empty list when nothing is.
 */
export function problemsOfLog(
  records: readonly ReceivedRecord[],
  acked: readonly AckedRecord[],
  gaps: readonly Gap[],
  expectation: LogExpectation,
): string[] {
  const problems: string[] = [];
  const { isComplete } = expectation;
  if (isComplete) for (const gap of gaps) problems.push(`gap: ${JSON.stringify(gap)}`);
  const stored = new Map<string, ReceivedRecord>();
  const places = new Map<string, string>();
  const nextOffset = new Map<number, number>();
  const lastSequence = new Map<string, number>();

  for (const record of records) {
    const { partition, offset } = record;
    const value = record.value as Uint8Array;
    const { producer, sequence } = nameOfValue(value);
    const name = `${producer}:${sequence}`;
    const place = `${partition}/${offset}`;
    const expected = nextOffset.get(partition) ?? 0;
    if (isComplete ? offset !== expected : offset < expected) {
      problems.push(`offset ${offset} of partition ${partition} instead of ${expected}`);
    }
    nextOffset.set(partition, offset + 1);
    if (!recordValue(producer, sequence, value.length).equals(value))
      problems.push(`${place} is altered: ${name}`);
    const twin = stored.get(name);
    if (twin !== undefined)
      problems.push(`${name} is stored twice: ${twin.partition}/${twin.offset} and ${place}`);
    stored.set(name, record);
    places.set(place, name);
    const last = lastSequence.get(`${producer}/${partition}`) ?? -1;
    if (sequence <= last) problems.push(`${name} comes after ${last} in partition ${partition}`);
    lastSequence.set(`${producer}/${partition}`, sequence);
  }

  const given = new Map<string, string>();
  for (const { producer, sequence, bytes, ack } of acked) {
    const name = `${producer}:${sequence}`;
    const place = `${ack.partition}/${ack.offset}`;
    const other = given.get(place);
    if (other !== undefined && ack.offset >= 0)
      problems.push(`${place} was given to ${other} and to ${name}`);
    given.set(place, name);
    const record = stored.get(name);
    if (record === undefined) {
      if (isComplete) problems.push(`${name} was acknowledged at ${place} and is not there`);
      const now = places.get(place);
      if (now !== undefined) problems.push(`${place} was acknowledged for ${name} and holds ${now}`);
      continue;
    }
    if (ack.offset >= 0 && (record.partition !== ack.partition || record.offset !== ack.offset)) {
      problems.push(`${name} was acknowledged at ${place} and is at ${record.partition}/${record.offset}`);
    }
    if ((record.value as Uint8Array).length !== bytes) problems.push(`${name} has another length`);
  }
  return problems;
}
