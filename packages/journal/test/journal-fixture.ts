import {
  type Background,
  type BackgroundJob,
  completeBackgroundJob,
  InlineBackground,
  InlineSyncer,
  type JobDone,
  Journal,
  type JournalOptions,
  RealStorage,
  type Storage,
} from "../src/internal.ts";
import { Recorder } from "./simulated-world.ts";

/** Jobs that wait until the test runs them. */
export class HeldBackground implements Background {
  readonly jobs: { job: BackgroundJob; done: JobDone }[] = [];

  submit(job: BackgroundJob, done: JobDone): void {
    this.jobs.push({ job, done });
  }

  /** Runs what waits, and what that leads to. */
  run(storage: Storage): void {
    for (let next = this.jobs.shift(); next !== undefined; next = this.jobs.shift()) {
      completeBackgroundJob(storage, next.job, next.done);
    }
  }
}

export interface Fixture {
  readonly journal: Journal;
  readonly recorder: Recorder;
}

/** A journal whose syncs and jobs happen at once, unless the options say otherwise. */
export function openFixture(directory: string, options: Partial<JournalOptions> = {}): Fixture {
  const storage = options.storage ?? new RealStorage();
  const recorder = new Recorder();
  const journal = Journal.open({
    storage,
    directory,
    shardId: 3,
    syncer: (context) => new InlineSyncer(storage, context),
    background: new InlineBackground(storage),
    clock: { monotonicMs: () => 0 },
    entropy: { uint32: () => 0xdecade },
    segmentSizeBytes: 65_536,
    replay: recorder,
    ...options,
  });
  return { journal, recorder };
}

/** Stages STATE entries with these texts. @returns their positions. */
export function stageTexts(journal: Journal, ...texts: string[]): number[] {
  return texts.map((text) => journal.stageState(Buffer.from(text)));
}

/** The payloads that were replayed, as text. */
export function textsOf(recorder: Recorder): string[] {
  return recorder.entries.map(({ bytes }) => bytes.subarray(88).toString());
}
