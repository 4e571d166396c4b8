import {
  POINT_BYTES,
  POINT_LENGTH,
  POINT_OFFSET,
  POINT_POSITION,
  POINT_TIME,
  POINT_WORDS,
} from "../lookup/index-points.ts";
import {
  SIDECAR_HEADER_BYTES,
  SIDECAR_PARTITION_BYTES,
  sidecarPartitionAt,
} from "../lookup/sidecar-layout.ts";
import { readFileIndex, readIndexPoints } from "../settled/settled-index.ts";
import type { Storage } from "../storage/storage.ts";

/** Something that an index holds, in order. Positions are the file's bytes. */
export type IndexItem =
  | {
      readonly kind: "header" | "partition" | "point";
      readonly position: number;
      readonly fields: Readonly<Record<string, unknown>>;
    }
  | { readonly kind: "damage"; readonly position: number; readonly sentence: string };

/** Everything in the index at `at`: a sidecar, or the footer of a settled file. */
export function* listIndex(storage: Storage, fd: number, at: number, endAt: number): Generator<IndexItem> {
  const index = readFileIndex(storage, fd, at, endAt);
  if (index === undefined) {
    yield {
      kind: "damage",
      position: at,
      sentence: "the index's header or table is damaged, or of a later format",
    };
    return;
  }
  const { version, epoch, partitionCount, basePosition, endPosition } = index.header;
  yield {
    kind: "header",
    position: at,
    fields: { file: "index", size: endAt - at, version, epoch, basePosition, endPosition, partitionCount },
  };
  for (let i = 0; i < partitionCount; i++) {
    const row = sidecarPartitionAt(index.table, i);
    const { topicId, partition, firstOffset, endOffset, firstTime, lastTime, bytes, pointCount } = row;
    yield {
      kind: "partition",
      position: at + SIDECAR_HEADER_BYTES + i * SIDECAR_PARTITION_BYTES,
      fields: { topicId, partition, firstOffset, endOffset, firstTime, lastTime, bytes, points: pointCount },
    };
    const position = at + row.pointsAt;
    const points = readIndexPoints(storage, fd, index, row);
    if (points === undefined) {
      yield {
        kind: "damage",
        position,
        sentence: `the points of topic ${topicId} partition ${partition} are damaged`,
      };
      continue;
    }
    for (let k = 0; k < pointCount; k++) {
      const word = k * POINT_WORDS;
      yield {
        kind: "point",
        position: position + k * POINT_BYTES,
        fields: {
          topicId,
          partition,
          offset: firstOffset + (points[word + POINT_OFFSET] as number),
          at: points[word + POINT_POSITION],
          length: points[word + POINT_LENGTH],
          time: firstTime + (points[word + POINT_TIME] as number),
        },
      };
    }
  }
}
