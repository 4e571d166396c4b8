import type { JournalLocation } from "../lookup/journal-index.ts";
import { segmentFileName, sidecarFileName } from "../segment/segment-layout.ts";
import type { Storage } from "../storage/storage.ts";
import type { Place } from "./entry-walk.ts";
import type { FileIndexCache } from "./file-index-cache.ts";
import { type Begin, firstPoint, stretchesFrom } from "./file-stretches.ts";
import type { OpenFileCache } from "./open-file-cache.ts";
import { scanPoints } from "./point-scan.ts";

/**
 * Where a partition's entries stand in a segment: in the stretches that the shard named, or, when it is sealed, in those
 * that its sidecar names.
 *
 * @param endPosition entries that reach beyond this position are not written yet.
 * @throws what the storage throws
 */
export function journalPlace(
  storage: Storage,
  files: OpenFileCache,
  indexes: FileIndexCache,
  directory: string,
  location: JournalLocation,
  { topicId, partition }: { readonly topicId: number; readonly partition: number },
  endPosition: number,
  begin: Begin,
  wantedBytes: number,
): Place {
  const { segmentBase, segmentEpoch, sealed, extents } = location;
  const file = files.open(`${directory}/${segmentFileName(segmentBase, segmentEpoch)}`);
  const place = { file, base: segmentBase, dataEnd: endPosition - segmentBase, immutable: sealed };
  if (!sealed) {
    const stretches = extents.map((value, i) => (i % 2 === 0 ? value - segmentBase : value));
    return { ...place, stretches };
  }
  const end = location.position + location.length;
  const source = {
    path: `${directory}/${sidecarFileName(segmentBase, segmentEpoch)}`,
    indexAt: 0,
    endPosition: end,
  };
  let points = indexes.points(source, topicId, partition);
  if (points === undefined) {
    points = scanPoints(storage, file, end - segmentBase, topicId, partition);
    indexes.put(source, topicId, partition, points);
  }
  const from = begin.by === "place" ? begin.value : 0;
  return { ...place, stretches: stretchesFrom(points, firstPoint(points, begin), wantedBytes, from) };
}
