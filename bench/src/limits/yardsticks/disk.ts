/**
 * Yardstick `disk`: a bare process that writes 1 MiB at a time to a growing file, with an fdatasync after
 * each write or without. It is what the journal would reach if there were no broker around it.
 */
import { closeSync, fdatasyncSync, openSync, unlinkSync, writeSync } from "node:fs";
import { serveCommands } from "../../harness/child-commands.ts";
import type { Counters } from "../../harness/sampling.ts";
import { monotonicMs } from "../../harness/system-clock.ts";
import { buildPublishBlock } from "../../wire/publish-block.ts";
import { BATCH_BYTES, VALUE_BYTES } from "../limit-row.ts";

export interface DiskCommands {
  start(args: { path: string; sync: boolean; recordsPerMebibyte: number }): void;
  mark(args: null): Counters;
  stop(args: null): void;
}

const WRITE_BYTES = 1024 * 1024;
/** The frames that the publisher sends, over and over. */
const block = Buffer.alloc(
  WRITE_BYTES,
  buildPublishBlock({ topicId: 1, valueBytes: VALUE_BYTES, batchBytes: BATCH_BYTES }, WRITE_BYTES).bytes,
);

let path = "";
let file: number | undefined;
let sync = false;
let recordsPerMebibyte = 0;
let position = 0;

function writeOne(): void {
  if (file === undefined) return;
  for (let at = 0; at < WRITE_BYTES; ) at += writeSync(file, block, at, WRITE_BYTES - at, position + at);
  position += WRITE_BYTES;
  if (sync) fdatasyncSync(file);
  // Once around the event loop per write, so that the harness can ask how far it is.
  setImmediate(writeOne);
}

serveCommands<DiskCommands>({
  start: (args) => {
    path = args.path;
    sync = args.sync;
    recordsPerMebibyte = args.recordsPerMebibyte;
    position = 0;
    file = openSync(path, "w");
    writeOne();
  },
  mark: () => ({
    timeMs: monotonicMs(),
    records: (position / WRITE_BYTES) * recordsPerMebibyte,
    bytes: position,
  }),
  stop: () => {
    if (file === undefined) return;
    closeSync(file);
    file = undefined;
    unlinkSync(path);
  },
});
