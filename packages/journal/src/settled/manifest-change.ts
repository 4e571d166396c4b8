import type { JournalIndex } from "../lookup/journal-index.ts";
import type { SettledFile, SettledPartition } from "./manifest-layout.ts";

/** Rows of topicId, partition and bytes, and whether they are added (1) or taken away (-1). */
type ByteRows = readonly [rows: Float64Array, sign: 1 | -1];

const ROW_NUMBERS = 3;

/** One change of the manifest: what goes, what comes, and where the settled part of the journal ends then. */
export class ManifestChange {
  readonly removed: readonly SettledFile[];
  readonly added: readonly SettledFile[];
  readonly settledPosition: number;
  /** Made of a retention plan. */
  readonly isReclaim: boolean;
  private readonly bytes: readonly ByteRows[];

  constructor(
    removed: readonly SettledFile[],
    added: readonly SettledFile[],
    settledPosition: number,
    bytes: readonly ByteRows[],
    isReclaim = false,
  ) {
    this.removed = removed;
    this.added = added;
    this.settledPosition = settledPosition;
    this.bytes = bytes;
    this.isReclaim = isReclaim;
  }

  /** The list with the change made, by base position and part. */
  filesAfter(files: readonly SettledFile[]): SettledFile[] {
    const removed = new Set(this.removed.map(keyOfFile));
    const kept = removed.size === 0 ? files : files.filter((file) => !removed.has(keyOfFile(file)));
    return [...kept, ...this.added].sort((a, b) => a.basePosition - b.basePosition || a.part - b.part);
  }

  /** Bytes of all partitions with the change made, while the index does not know of it. */
  partitionsAfter(index: JournalIndex): SettledPartition[] {
    const changes = new Map<number, number>();
    this.eachRow((topicId, partition, bytes) => {
      const key = keyOfPartition(topicId, partition);
      changes.set(key, (changes.get(key) ?? 0) + bytes);
    });
    const partitions: SettledPartition[] = [];
    let sorted = true;
    let lastKey = -1;
    for (const { topicId, partition, settledBytes } of index.partitions()) {
      const key = keyOfPartition(topicId, partition);
      const bytes = settledBytes + (changes.get(key) ?? 0);
      if (bytes <= 0) continue;
      partitions.push({ topicId, partition, bytes });
      sorted &&= key > lastKey;
      lastKey = key;
    }
    // Topics are made in the order of their ids, so this is rare; there can be tens of thousands of partitions.
    if (!sorted) partitions.sort((a, b) => a.topicId - b.topicId || a.partition - b.partition);
    return partitions;
  }

  /** The manifest is durable: counts the bytes in the index. */
  applyTo(index: JournalIndex): void {
    this.eachRow((topicId, partition, bytes) => index.addSettledBytes(topicId, partition, bytes));
  }

  private eachRow(visit: (topicId: number, partition: number, bytes: number) => void): void {
    for (const [rows, sign] of this.bytes) {
      for (let at = 0; at < rows.length; at += ROW_NUMBERS) {
        visit(rows[at] as number, rows[at + 1] as number, sign * (rows[at + 2] as number));
      }
    }
  }
}

function keyOfFile({ basePosition, epoch, part }: SettledFile): string {
  return `${basePosition}-${epoch}-${part}`;
}

/** Topic ids have 32 bits, partitions fewer than 20. */
function keyOfPartition(topicId: number, partition: number): number {
  return topicId * 2 ** 20 + partition;
}
