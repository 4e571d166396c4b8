import type { SeededRandom } from "../src/internal.ts";
import { readSettledIndex, type SettledFile, settledFileName } from "../src/internal.ts";
import { type SidecarPartition, sidecarPartitionAt } from "../src/lookup/sidecar-layout.ts";
import {
  checkPrefix,
  checkState,
  compareReads,
  expect,
  findTime,
  isOf,
  type ModelEntry,
  type PartitionName,
  readPartition,
} from "./journal-model.ts";
import type { ModelState } from "./model-state.ts";
import type { SimulatedShard } from "./simulated-shard.ts";
import { DIRECTORY, fieldsOf, type OpenedJournal } from "./simulated-world.ts";

/** What the footer of a settled file says to be in it, by topicId and partition. */
export function sectionsOf({ storage }: OpenedJournal, file: SettledFile): SidecarPartition[] {
  const { header, table } = readSettledIndex(storage, `${DIRECTORY}/${settledFileName(file)}`, file);
  return Array.from({ length: header.partitionCount }, (_, i) => sidecarPartitionAt(table, i));
}

/** Compares what a journal recovered with what the shard knows, and tells the shard what is left. */
export function checkRecovered({ journal, recorder }: OpenedJournal, shard: SimulatedShard): void {
  const { model, floor } = shard;
  const from = checkState(recorder.state, model);
  checkPrefix(recorder.entries, model, from);
  const kept = from + recorder.entries.length;
  const end = journal.stagedPosition;
  expect(end >= floor, () => `recovered up to ${end}, but ${floor} was reported committed`);
  expect(
    kept >= model.filter((entry) => entry.end <= floor).length,
    () => `recovered ${kept} entries, fewer than were committed`,
  );
  if (journal.cleanShutdown) {
    expect(kept === model.length, () => `clean, but ${model.length - kept} entries are gone`);
  }
  expect(journal.committedPosition() === end, () => "what is recovered must count as committed");
  shard.recovered(journal, model.slice(0, kept), end);
}

/** What can be read of a partition whose log starts at an offset. */
export function retained(model: readonly ModelEntry[], partition: PartitionName, from: number): ModelEntry[] {
  return model.filter((entry) => isOf(entry, partition) && endOf(entry.bytes) > from);
}

/** Reads every partition from the start of its log on and searches some times; counts its bytes. */
export function checkReads(
  opened: OpenedJournal,
  model: readonly ModelEntry[],
  state: ModelState,
  random: SeededRandom,
): void {
  const { journal } = opened;
  const sections = journal.settledFiles.flatMap((file) => sectionsOf(opened, file));
  const written = model.filter((entry) => entry.end <= journal.writtenPosition);
  for (const { topicId, partition, logStart } of state.partitions()) {
    const name = { topicId, partition };
    const got = readPartition(opened, name, logStart, random);
    expect(
      got !== undefined,
      () => `read of ${topicId}/${partition} met damage: ${opened.reader.error?.message}`,
    );
    try {
      compareReads(got ?? [], retained(written, name, logStart));
    } catch (error) {
      throw new Error(`${topicId}/${partition} from ${logStart}: ${(error as Error).message}`);
    }
    checkTimes(opened, name, logStart, retained(written, name, logStart), random);
    const settledBytes = sections
      .filter((section) => section.topicId === topicId && section.partition === partition)
      .reduce((sum, { bytes }) => sum + bytes, 0);
    const unsettled = model.filter((entry) => isOf(entry, name) && entry.position >= journal.settledPosition);
    const bytes = unsettled.reduce((sum, { position, end }) => sum + end - position, settledBytes);
    expect(
      journal.retainedBytes(topicId, partition) === bytes,
      () => `${topicId}/${partition} has ${bytes} bytes, not ${journal.retainedBytes(topicId, partition)}`,
    );
  }
}

function checkTimes(
  opened: OpenedJournal,
  partition: PartitionName,
  logStart: number,
  wanted: readonly ModelEntry[],
  random: SeededRandom,
): void {
  for (let i = 0; i < 3; i++) {
    const some = wanted[random.below(wanted.length)];
    const timeMs = (some === undefined ? 5 : fieldsOf(some.bytes).appendTime) + random.below(3) - 1;
    const first = wanted.find((entry) => fieldsOf(entry.bytes).appendTime >= timeMs);
    const found = findTime(opened, partition, logStart, timeMs);
    const offset = first === undefined ? undefined : fieldsOf(first.bytes).baseOffset;
    expect(found === offset, () => `time ${timeMs} is at offset ${offset}, but was found at ${found}`);
  }
}

function endOf(bytes: Buffer): number {
  const { baseOffset, count } = fieldsOf(bytes);
  return baseOffset + count;
}
