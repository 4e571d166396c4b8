import type { SeededRandom } from "../src/internal.ts";
import { type SettledFile, settledFileName } from "../src/internal.ts";
import {
  checkPrefix,
  checkState,
  compareReads,
  deliverEntry,
  expect,
  findTime,
  isOf,
  type ModelEntry,
  type PartitionName,
  readJournal,
} from "./journal-model.ts";
import type { ModelState } from "./model-state.ts";
import { WholeSettledFile } from "./settled-reader.ts";
import type { SimulatedShard } from "./simulated-shard.ts";
import { DIRECTORY, fieldsOf, type OpenedJournal } from "./simulated-world.ts";

/** Reads partitions from the settled files that the journal lists, and then from the journal. */
export class RetainedReader {
  private readonly opened: OpenedJournal;
  private readonly random: SeededRandom;
  private readonly files: Map<string, WholeSettledFile | undefined> = new Map();

  constructor(opened: OpenedJournal, random: SeededRandom) {
    this.opened = opened;
    this.random = random;
  }

  /** The DELIVER entries of a partition from an offset on, or undefined when a reader met damage. */
  read(partition: PartitionName, from: number): Buffer[] | undefined {
    const entries: Buffer[] = [];
    for (const file of this.opened.journal.settledFiles) {
      const found = this.file(file)?.entries(partition.topicId, partition.partition);
      if (found === undefined) return undefined;
      for (const bytes of found) if (endOf(bytes) > from) entries.push(deliverEntry(bytes));
    }
    const rest = readJournal(this.opened, partition, from, this.random);
    return rest === undefined ? undefined : [...entries, ...rest];
  }

  /** @returns undefined when it is damaged */
  file(file: SettledFile): WholeSettledFile | undefined {
    const name = settledFileName(file);
    if (!this.files.has(name)) {
      this.files.set(name, WholeSettledFile.read(this.opened.storage, DIRECTORY, file));
    }
    return this.files.get(name);
  }
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
  const reader = new RetainedReader(opened, random);
  const written = model.filter((entry) => entry.end <= journal.writtenPosition);
  for (const { topicId, partition, logStart } of state.partitions()) {
    const name = { topicId, partition };
    const got = reader.read(name, logStart);
    expect(
      got !== undefined,
      () => `read of ${topicId}/${partition} met damage: ${opened.reader.error?.message}`,
    );
    try {
      compareReads(got ?? [], retained(written, name, logStart));
    } catch (error) {
      throw new Error(`${topicId}/${partition} from ${logStart}: ${(error as Error).message}`);
    }
    checkTimes(opened, name, written, random);
    const settled = journal.settledFiles.flatMap((file) => reader.file(file)?.sections ?? []);
    const settledBytes = settled
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

/** Times are searched in the journal only where nothing older is settled. */
function checkTimes(
  opened: OpenedJournal,
  partition: PartitionName,
  written: readonly ModelEntry[],
  random: SeededRandom,
): void {
  const { settledPosition } = opened.journal;
  const wanted = written.filter((entry) => isOf(entry, partition) && entry.position >= settledPosition);
  for (let i = 0; i < 3; i++) {
    const some = wanted[random.below(wanted.length)];
    const timeMs = (some === undefined ? 5 : fieldsOf(some.bytes).appendTime) + random.below(3) - 1;
    const first = wanted.find((entry) => fieldsOf(entry.bytes).appendTime >= timeMs);
    const found = findTime(opened, partition, timeMs);
    const offset = first === undefined ? undefined : fieldsOf(first.bytes).baseOffset;
    expect(found === offset, () => `time ${timeMs} is at offset ${offset}, but was found at ${found}`);
  }
}

function endOf(bytes: Buffer): number {
  const { baseOffset, count } = fieldsOf(bytes);
  return baseOffset + count;
}
