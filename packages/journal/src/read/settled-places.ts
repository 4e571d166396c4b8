import type { Storage } from "../storage/storage.ts";
import type { Place } from "./entry-walk.ts";
import { type FileIndexCache, NOT_IN_FILE, type PartitionPoints } from "./file-index-cache.ts";
import { type Begin, firstPoint, pointsEnd, stretchesFrom } from "./file-stretches.ts";
import type { OpenFileCache } from "./open-file-cache.ts";
import { scanPoints } from "./point-scan.ts";
import type { SettledFileTable } from "./settled-catalog.ts";

/** A place in a settled file. */
export interface SettledPlace extends Place {
  /** Of the partition. */
  readonly points: PartitionPoints;
  /** File offset behind the partition's last entry. */
  readonly sectionEnd: number;
}

/**
 * Where a partition's entries stand in a settled file.
 *
 * @returns undefined when the file has none of them. @throws what the storage throws
 */
export function settledPlace(
  storage: Storage,
  files: OpenFileCache,
  indexes: FileIndexCache,
  table: SettledFileTable,
  at: number,
  { topicId, partition }: { readonly topicId: number; readonly partition: number },
  begin: Begin,
  wantedBytes: number,
): SettledPlace | undefined {
  const source = table.source(at);
  const file = files.open(source.path);
  let points: PartitionPoints | undefined = indexes.points(source, topicId, partition);
  if (points === undefined) {
    if (indexes.bounds(source, topicId, partition) === NOT_IN_FILE) return undefined;
    points = scanPoints(storage, file, source.indexAt, topicId, partition);
    indexes.put(source, topicId, partition, points);
    if (points.count === 0) return undefined;
  }
  const from = begin.by === "place" ? begin.value : 0;
  const stretches = stretchesFrom(points, firstPoint(points, begin), wantedBytes, from);
  return {
    file,
    base: 0,
    stretches,
    dataEnd: source.indexAt,
    immutable: true,
    points,
    sectionEnd: pointsEnd(points),
  };
}
