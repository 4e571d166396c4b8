import { existsSync, readdirSync } from "node:fs";
import { basename, join, relative } from "node:path";
import type { Finding, FindingCode, Repair, Severity } from "@millrace/journal/internal";
import { MillraceError } from "@millrace/protocol";
import { SNAPSHOT_FOLDER } from "../backup/backup-command.ts";
import {
  BACKUP_FILE,
  FORMAT_FILE,
  readFormat,
  shardDirectory,
  shardsDirectory,
} from "../node/data-folder.ts";
import { diskLowBytesFor, measureVolume } from "../node/volume.ts";
import { examineShard, surveyShardFolder } from "./examine-shard.ts";
import type { VerifyPool } from "./verify-pool.ts";

/** Originals of what a doctor repaired. */
export const DAMAGED_FOLDER = "damaged";

/** How far an examination is. */
export interface ExaminationProgress {
  readonly files: number;
  readonly filesTotal: number;
  readonly bytes: number;
  readonly bytesTotal: number;
}

/** What there is in a data folder, and what is wrong with it. */
export interface Examination {
  readonly shards: number;
  readonly files: number;
  readonly bytes: number;
  /** Files are named from the data folder. */
  readonly findings: readonly Finding[];
}

/** What processes show of themselves; those of one that was killed stay, and the next start replaces or removes them. */
const OF_A_PROCESS = /^(?:lock-\d+\.sock|(?:node|peer)-\d{1,3}\.(?:sock|json))(?:\.[\d.]*tmp)?$/;
const LOGS_FOLDER = "logs";
const SHARD_FOLDER = /^\d{4}$/;
const RESTORE = "restore the data folder from a backup";

/**
 * Reads a whole data folder. The caller holds its lock.
 * @param tick called often while files are read.
 * @throws MillraceError DATA_FORMAT_NEWER, DATA_DIR_UNUSABLE
 */
export async function examineFolder(
  dataDir: string,
  pool: VerifyPool,
  tick: (progress: ExaminationProgress) => void,
): Promise<Examination> {
  return new FolderExamination(dataDir, pool, tick).run();
}

class FolderExamination {
  readonly #dataDir: string;
  readonly #pool: VerifyPool;
  readonly #tick: (progress: ExaminationProgress) => void;
  readonly #findings: Finding[] = [];

  constructor(dataDir: string, pool: VerifyPool, tick: (progress: ExaminationProgress) => void) {
    this.#dataDir = dataDir;
    this.#pool = pool;
    this.#tick = tick;
  }

  async run(): Promise<Examination> {
    const dataDir = this.#dataDir;
    if (existsSync(join(dataDir, BACKUP_FILE))) {
      throw new MillraceError(
        "DATA_DIR_UNUSABLE",
        `the folder is a backup; "millrace restore" checks it: ${dataDir}`,
      );
    }
    const shards = this.#shards();
    await this.#examineSpace();
    this.#examineNames();
    const surveyed = shards.map((shardId) => surveyShardFolder(shardDirectory(dataDir, shardId), shardId));
    let files = 0;
    const filesTotal = surveyed.reduce((sum, shard) => sum + shard.files, 0);
    const bytesTotal = surveyed.reduce((sum, shard) => sum + shard.bytes, 0);
    const tell = (): void => this.#tick({ files, filesTotal, bytes: this.#pool.bytes, bytesTotal });
    this.#pool.resetBytes();
    const examined = await Promise.all(
      surveyed.map((shard) =>
        examineShard(shard, this.#pool, () => {
          files += 1;
          tell();
        }),
      ),
    );
    this.#findings.push(...examined.flat());
    return {
      shards: shards.length,
      files: filesTotal,
      bytes: bytesTotal,
      findings: this.#findings.map(this.#named),
    };
  }

  /** The shards whose folders are there. */
  #shards(): number[] {
    const dataDir = this.#dataDir;
    const parent = shardsDirectory(dataDir);
    const names = existsSync(parent) ? readdirSync(parent).filter((name) => SHARD_FOLDER.test(name)) : [];
    const present = names.map(Number).sort((a, b) => a - b);
    const file = join(dataDir, FORMAT_FILE);
    let stated: number;
    try {
      stated = readFormat(file).shards;
    } catch (error) {
      if (!(error instanceof MillraceError) || error.code !== "DATA_DIR_UNUSABLE") throw error;
      if (present.length === 0) throw error;
      const most = (present.at(-1) as number) + 1;
      const remains = `a broker refuses to start; put the file back from a backup: it says "shards": ${most}`;
      this.#report("damage", "FORMAT_FILE_DAMAGED", file, error.message, undefined, remains);
      stated = most;
    }
    for (let shardId = 0; shardId < stated; shardId += 1) {
      if (present.includes(shardId)) continue;
      const folder = shardDirectory(dataDir, shardId);
      const remains = `a broker refuses to start: ${RESTORE}`;
      this.#report(
        "damage",
        "FOLDER_MISSING",
        folder,
        `the folder of shard ${shardId} is missing`,
        undefined,
        remains,
      );
    }
    for (const shardId of present) {
      if (shardId < stated) continue;
      const folder = shardDirectory(dataDir, shardId);
      const sentence = `there are ${stated} shards, and none of this number`;
      this.#report("warning", "UNKNOWN_FILE", folder, sentence, undefined, "it is left alone");
    }
    return present.filter((shardId) => shardId < stated);
  }

  async #examineSpace(): Promise<void> {
    const { freeBytes, totalBytes } = await measureVolume(this.#dataDir);
    const low = diskLowBytesFor(totalBytes);
    if (totalBytes === 0 || freeBytes >= low) return;
    const sentence = `${freeBytes} bytes are free on this volume, and below ${low} publishes are refused`;
    this.#report(
      "warning",
      "LITTLE_SPACE",
      this.#dataDir,
      sentence,
      undefined,
      "make room, or shorten retention",
    );
  }

  #examineNames(): void {
    const shards = basename(shardsDirectory(this.#dataDir));
    const known = new Set([FORMAT_FILE, shards, DAMAGED_FOLDER, LOGS_FOLDER]);
    for (const name of readdirSync(this.#dataDir)) {
      const path = join(this.#dataDir, name);
      if (known.has(name) || OF_A_PROCESS.test(name)) continue;
      if (SNAPSHOT_FOLDER.test(name)) {
        const sentence = "a backup was taken of it when the broker ended";
        this.#report("warning", "LEFTOVER_FILE", path, sentence, undefined, "the next backup removes it");
      } else if (name === `${FORMAT_FILE}.tmp`) {
        const repair: Repair = { does: "remove it", steps: [{ kind: "remove", path }] };
        const remains = "it does no harm";
        this.#report("leftover", "LEFTOVER_FILE", path, "a file that was being made", repair, remains);
      } else {
        const sentence = "no file of a data folder has such a name";
        this.#report("warning", "UNKNOWN_FILE", path, sentence, undefined, "it is left alone");
      }
    }
  }

  #report(
    severity: Severity,
    code: FindingCode,
    file: string,
    sentence: string,
    repair: Repair | undefined,
    remains: string,
  ): void {
    this.#findings.push({ severity, code, file, position: 0, sentence, repair, remains });
  }

  readonly #named = (finding: Finding): Finding => ({
    ...finding,
    file: relative(this.#dataDir, finding.file) || ".",
  });
}
