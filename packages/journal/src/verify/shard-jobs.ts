import type { LiveSegment } from "../segment/segment-chain.ts";
import { settledFileName } from "../settled/settled-layout.ts";
import { marksOf } from "./judge-shard.ts";
import { type ShardSurvey, sidecarPath } from "./shard-survey.ts";
import type { SegmentJob } from "./verify-segment.ts";
import type { SettledJob } from "./verify-settled.ts";

/** What has to be read of a shard to judge it: each segment and settled file once. */
export function shardJobs(survey: ShardSurvey): (SegmentJob | SettledJob)[] {
  const { directory, shardId, journalId } = survey;
  // Without the id no entry can be told from any other bytes.
  if (journalId === undefined) return [];
  const marks = marksOf(survey);
  const segments = survey.segments.map((segment, i): SegmentJob => {
    const { basePosition, epoch, seed } = segment;
    const name = sidecarPath(directory, segment).slice(directory.length + 1);
    const endPosition = survey.segments[i + 1]?.basePosition;
    const hasSidecar = endPosition !== undefined && survey.sidecars.has(name);
    return { kind: "segment", directory, shardId, basePosition, epoch, seed, endPosition, marks, hasSidecar };
  });
  const files = survey.manifest?.content?.files ?? [];
  const listed = new Map(files.map((file) => [settledFileName(file), file]));
  const settled = survey.settled.map(
    (name): SettledJob => ({
      kind: "settled",
      directory,
      shardId,
      journalId,
      name,
      listed: listed.get(settledFileName(name)),
    }),
  );
  return [...settled, ...segments];
}

/** Paths of the large files, in the order of their jobs. */
export function largeFilesOf(survey: ShardSurvey): string[] {
  const { directory } = survey;
  return [
    ...survey.settled.map((name) => `${directory}/${settledFileName(name)}`),
    ...survey.segments.map(({ path }: LiveSegment) => path),
  ];
}
