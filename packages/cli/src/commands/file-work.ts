import type { BackupProgress } from "@millrace/broker/internal";
import type { CommandContext } from "../command-context.ts";
import { describeError } from "../command-error.ts";
import { EXIT, type ExitCode } from "../exit-code.ts";
import { Interruption } from "../interruption.ts";
import { ProgressBar, withBar } from "../output/progress-bar.ts";
import { roundedSizeText } from "../output/unit-text.ts";

/** What the commands that copy files have to do with: when to stop, and whom to tell how far they are. */
export interface FileWork {
  readonly signal: AbortSignal;
  onProgress(progress: BackupProgress): void;
  elapsedMs(): number;
}

/** Runs `work` under a progress bar; an interruption takes back what it did, and is its own exit code. */
export async function withFileWork(
  context: CommandContext,
  work: (files: FileWork) => Promise<void>,
): Promise<ExitCode> {
  const interruption = new Interruption(context.signals, context.clock);
  let last: BackupProgress = { files: 0, filesTotal: 0, bytes: 0, bytesTotal: 0 };
  const bar = new ProgressBar(
    context.stderr,
    context.clock,
    undefined,
    (_files, bytes, _total, elapsedMs) => {
      const rate = elapsedMs > 0 ? roundedSizeText(Math.round((bytes * 1000) / elapsedMs)) : "0 B";
      const text = `${last.files} of ${last.filesTotal} files, ${roundedSizeText(bytes)}, ${rate}/s`;
      return withBar(text, bytes, last.bytesTotal);
    },
  );
  try {
    await work({
      signal: interruption.signal,
      onProgress: (progress) => {
        last = progress;
        bar.update(progress.files, progress.bytes);
      },
      elapsedMs: () => bar.elapsedMs(),
    });
    return EXIT.OK;
  } catch (error) {
    if (!interruption.interrupted) throw error;
    bar.clear();
    context.stderr.write(`${describeError(error)}\n`);
    return EXIT.INTERRUPTED;
  } finally {
    bar.clear();
    interruption.dispose();
  }
}
