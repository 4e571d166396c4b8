import { dirname, join, relative, resolve } from "node:path";
import type { Finding, RepairStep } from "@millrace/journal/internal";
import { FolderLock } from "../node/folder-lock.ts";
import { VERSION } from "../version.ts";
import {
  DAMAGED_FOLDER,
  type Examination,
  type ExaminationProgress,
  examineFolder,
} from "./examine-folder.ts";
import { VerifyPool } from "./verify-pool.ts";

export interface DoctorOptions {
  readonly dataDir: string;
  readonly repair: boolean;
  /** Names the folder that originals are kept in. */
  readonly now: Date;
  /** Called often while files are read. */
  readonly onProgress?: (progress: ExaminationProgress) => void;
  /** An examination has ended: the first one, then one more after each round of repairs. */
  readonly onExamined?: (examination: Examination) => void;
  /** A repair was made. */
  readonly onRepaired?: (step: RepairStep["kind"], file: string) => void;
}

export interface DoctorReport {
  readonly first: Examination;
  /** The same as `first` when nothing was repaired. */
  readonly last: Examination;
  /** Steps that were made. */
  readonly repairs: number;
  /** Where originals are, if there are any: from the data folder. */
  readonly aside: string | undefined;
}

/** One repair may show what the damage had hidden; but not for ever. */
const ROUNDS_MAX = 5;
const TICK_MS = 100;

/**
 * Examines a data folder that no broker runs on, and repairs what can be repaired.
 * @throws MillraceError DATA_DIR_IN_USE, DATA_DIR_UNUSABLE, DATA_FORMAT_NEWER; what the file system throws
 */
export async function runDoctor(options: DoctorOptions): Promise<DoctorReport> {
  const dataDir = resolve(options.dataDir);
  const lock = await FolderLock.acquire(dataDir, VERSION);
  const pool = new VerifyPool();
  try {
    return await examineAndRepair({ ...options, dataDir }, pool);
  } finally {
    await pool.close();
    await lock.release();
  }
}

async function examineAndRepair(options: DoctorOptions, pool: VerifyPool): Promise<DoctorReport> {
  const { dataDir } = options;
  const aside = join(dataDir, DAMAGED_FOLDER, folderName(options.now));
  const first = await examine(options, pool);
  let last = first;
  let repairs = 0;
  for (let round = 0; options.repair && round < ROUNDS_MAX; round += 1) {
    const steps = stepsOf(last.findings);
    if (steps.length === 0) break;
    for (const step of steps) {
      const file = relative(dataDir, step.path);
      await pool.run({ kind: "repair", step, asidePath: join(aside, dirname(file)) });
      repairs += 1;
      options.onRepaired?.(step.kind, file);
    }
    last = await examine(options, pool);
  }
  return { first, last, repairs, aside: repairs > 0 ? relative(dataDir, aside) : undefined };
}

async function examine(options: DoctorOptions, pool: VerifyPool): Promise<Examination> {
  const { dataDir, onProgress = () => {}, onExamined } = options;
  let progress: ExaminationProgress = { files: 0, filesTotal: 0, bytes: 0, bytesTotal: 0 };
  const timer = setInterval(() => onProgress({ ...progress, bytes: pool.bytes }), TICK_MS);
  try {
    const examination = await examineFolder(dataDir, pool, (now) => {
      progress = now;
      onProgress(now);
    });
    onExamined?.(examination);
    return examination;
  } finally {
    clearInterval(timer);
  }
}

/** The steps of all repairs, each once; changes of one file are made together, in its first place. */
function stepsOf(findings: readonly Finding[]): RepairStep[] {
  const steps = new Map<string, RepairStep>();
  for (const step of findings.flatMap(({ repair }) => repair?.steps ?? [])) {
    const before = steps.get(step.path);
    if (before?.kind === "rewrite" && step.kind === "rewrite") {
      const size = Math.min(before.size ?? Number.POSITIVE_INFINITY, step.size ?? Number.POSITIVE_INFINITY);
      const patches = [...before.patches, ...step.patches].filter(({ at }) => at < size);
      steps.set(step.path, { ...before, patches, size: Number.isFinite(size) ? size : undefined });
    } else if (before === undefined || step.kind === "aside") steps.set(step.path, step);
  }
  return [...steps.values()];
}

/** `2026-11-22T18-43-10-123Z`: a name on every file system. */
function folderName(now: Date): string {
  return now.toISOString().replaceAll(/[:.]/g, "-");
}
