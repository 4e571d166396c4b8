import { MillraceError } from "@millrace/protocol";

/** The folder that recovery looks at. */
export interface RecoveredFolder {
  readonly directory: string;
  readonly shardId: number;
}

/** @param name of the file in the folder; empty when it is missing. `position` in the journal. */
export function refuseDamaged(
  { directory, shardId }: RecoveredFolder,
  name: string,
  position: number,
  reason: string,
): never {
  const file = name === "" ? directory : `${directory}/${name}`;
  throw new MillraceError("JOURNAL_DAMAGED", `${reason}: ${file} position ${position}`, {
    details: { file, position, shardId },
  });
}

export function refuseNewer(file: string, version: number, versionMax: number): never {
  throw new MillraceError(
    "DATA_FORMAT_NEWER",
    `file has format ${version}, newer than ${versionMax}: ${file}`,
    { details: { file, version, versionMax } },
  );
}
