/**
 * Yardstick `disk`: a bare process that writes so many bytes at a time to a growing file, with an fdatasync after
 * each write or without. It is what the journal would reach if there were no broker around it.
 */

import { closeSync, fdatasyncSync, openSync, unlinkSync, writeSync } from "node:fs";
import { monotonicMs, serveCommands } from "@millrace/load/internal";
import { buildPublishBlock } from "../wire/publish-block.ts";
import { BATCH_BYTES, VALUE_BYTES } from "./bench-row.ts";
import type { Counters } from "./sampling.ts";

export interface DiskArgs {
  readonly path: string;
  /** fdatasync after each write. */
  readonly sync: boolean;
  readonly writeBytes: number;
  /** For the marks. */
  readonly recordsPerMebibyte: number;
}

export interface DiskCommands {
  start(args: DiskArgs): void;
  mark(args: null): Counters;
  stop(args: null): void;
}

const MIB = 1024 * 1024;
/** The frames that the publisher sends, over and over. */
const frames = buildPublishBlock(
  { topicIds: [1], valueBytes: VALUE_BYTES, batchBytes: BATCH_BYTES },
  MIB,
).bytes;

let block = Buffer.alloc(0);

let path = "";
let file: number | undefined;
let sync = false;
let recordsPerMebibyte = 0;
let position = 0;

function writeOne(): void {
  if (file === undefined) return;
  const { length } = block;
  for (let at = 0; at < length; ) at += writeSync(file, block, at, length - at, position + at);
  position += length;
  if (sync) fdatasyncSync(file);
  // Once around the event loop per write, so that the harness can ask how far it is.
  setImmediate(writeOne);
}

serveCommands<DiskCommands>({
  start: (args) => {
    path = args.path;
    block = Buffer.alloc(args.writeBytes, frames);
    sync = args.sync;
    recordsPerMebibyte = args.recordsPerMebibyte;
    position = 0;
    file = openSync(path, "w");
    writeOne();
  },
  mark: () => ({
    timeMs: monotonicMs(),
    records: (position / MIB) * recordsPerMebibyte,
    bytes: position,
  }),
  stop: () => {
    if (file === undefined) return;
    closeSync(file);
    file = undefined;
    unlinkSync(path);
  },
});
