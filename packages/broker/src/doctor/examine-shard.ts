import { statSync } from "node:fs";
import { RealStorage } from "@millrace/journal";
import {
  type Finding,
  judgeShard,
  largeFilesOf,
  type SegmentResult,
  type SettledResult,
  type ShardSurvey,
  shardJobs,
  surveyShard,
} from "@millrace/journal/internal";
import { MillraceError } from "@millrace/protocol";
import { RESTORED_FILE } from "../backup/restored-mark.ts";
import type { VerifyPool } from "./verify-pool.ts";

const storage = new RealStorage();

/** A shard whose folder was looked at, and whose files are still to be read. */
export interface SurveyedShard {
  readonly survey: ShardSurvey;
  readonly files: number;
  readonly bytes: number;
}

/** @throws what the file system throws; MillraceError DATA_FORMAT_NEWER */
export function surveyShardFolder(directory: string, shardId: number): SurveyedShard {
  const survey = surveyShard(storage, directory, shardId, [RESTORED_FILE]);
  const files = largeFilesOf(survey);
  let bytes = 0;
  for (const path of files) bytes += statSync(path).size;
  return { survey, files: files.length, bytes };
}

/**
 * Reads every file of a shard, on the threads of the pool, and judges what was found.
 * @param onFile called for each file that was read.
 * @throws MillraceError DATA_FORMAT_NEWER
 */
export async function examineShard(
  { survey }: SurveyedShard,
  pool: VerifyPool,
  onFile: () => void,
): Promise<Finding[]> {
  const files = largeFilesOf(survey);
  const unreadable: Finding[] = [];
  const segments: SegmentResult[] = [];
  const settled: SettledResult[] = [];
  const results = await Promise.all(
    shardJobs(survey).map(async (job, i) => {
      try {
        const result = await pool.run(job);
        onFile();
        return result;
      } catch (error) {
        if (error instanceof MillraceError) throw error;
        unreadable.push(unreadableFile(files[i] as string, error as Error));
        return undefined;
      }
    }),
  );
  // Without one of its files the others cannot be told from damage.
  if (unreadable.length > 0) return unreadable;
  for (const result of results) {
    if (result?.kind === "segment") segments.push(result);
    else if (result?.kind === "settled") settled.push(result);
  }
  return judgeShard(survey, segments, settled);
}

function unreadableFile(path: string, error: Error): Finding {
  return {
    severity: "damage",
    code: "FILE_UNREADABLE",
    file: path,
    position: 0,
    sentence: `the disk does not give the file back: ${error.message}`,
    repair: undefined,
    remains: "copy the data folder to a disk that works, as far as it goes, and look again there",
  };
}
