import type { Readable } from "node:stream";
import type { OutgoingRecord } from "@millrace/client";
import { CommandError } from "../command-error.ts";
import { LineSplitter } from "./line-splitter.ts";
import { type RecordDefaults, recordOfJson, recordOfLine, textOrBytes } from "./record-line.ts";

/** A line may hold a record of 1 MiB in base64, with JSON around it. */
const LINE_BYTES_MAX = 2 * 1024 * 1024;

/** Records read, and how much of the input they took. */
export interface SourceProgress {
  records: number;
  bytes: number;
}

/**
 * The records of a line-oriented input, a chunk of it at a time, so that the input is never held as a whole and its
 * reader is stopped while nobody asks. With `ndjson` each line is a JSON object, and blank lines are skipped.
 * `progress` is kept up to date. Ends early when `signal` aborts. Throws INVALID_RECORD and INPUT_FAILED.
 */
export async function* recordsOfInput(
  input: Readable,
  defaults: RecordDefaults,
  ndjson: boolean,
  progress: SourceProgress,
  signal: AbortSignal,
): AsyncGenerator<OutgoingRecord[], void, undefined> {
  const splitter = new LineSplitter(LINE_BYTES_MAX);
  const recordsOf = (lines: Iterable<Uint8Array>): OutgoingRecord[] => {
    const records: OutgoingRecord[] = [];
    for (const line of lines) {
      const record = ndjson ? jsonRecord(line, splitter.lines, defaults) : recordOfLine(line, defaults);
      if (record !== undefined) records.push(record);
    }
    progress.records += records.length;
    return records;
  };
  const stop = (): void => void input.destroy();
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop);
  try {
    for await (const chunk of input) {
      const bytes: Uint8Array = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
      progress.bytes += bytes.length;
      yield recordsOf(splitter.push(bytes));
    }
    yield recordsOf(splitter.end());
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof CommandError) throw error;
    const code = error instanceof RangeError ? "INVALID_RECORD" : "INPUT_FAILED";
    throw new CommandError(code, (error as Error).message, { cause: error });
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function jsonRecord(
  line: Uint8Array,
  lineNumber: number,
  defaults: RecordDefaults,
): OutgoingRecord | undefined {
  const where = `line ${lineNumber}`;
  const text = textOrBytes(line);
  if (typeof text !== "string") throw new CommandError("INVALID_RECORD", `${where} is not valid UTF-8`);
  return text.trim() === "" ? undefined : recordOfJson(text, where, defaults);
}
