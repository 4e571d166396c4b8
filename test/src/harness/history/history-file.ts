import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { machineMicros } from "../clock.ts";
import type { HistoryEvent, NewEvent } from "./history-event.ts";

const FLUSH_CHARACTERS = 65_536;

/** Appends events to a file, in turns of the event loop. */
export class HistoryWriter {
  readonly #file: number;
  #lines = "";
  #isFlushSet = false;

  constructor(path: string) {
    this.#file = openSync(path, "a");
  }

  write(event: NewEvent): void {
    this.#lines += `${JSON.stringify({ at: machineMicros(), ...event })}\n`;
    if (this.#lines.length >= FLUSH_CHARACTERS) this.flush();
    else if (!this.#isFlushSet) {
      this.#isFlushSet = true;
      setImmediate(() => {
        this.#isFlushSet = false;
        this.flush();
      });
    }
  }

  flush(): void {
    const bytes = Buffer.from(this.#lines);
    this.#lines = "";
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at);
  }

  close(): void {
    this.flush();
    closeSync(this.#file);
  }
}

/** All events of the files, in the order of their times; of one file in the order in which they were written. */
export function readHistory(paths: readonly string[]): HistoryEvent[] {
  const events = paths.flatMap((path) =>
    readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as HistoryEvent),
  );
  return events.sort((a, b) => a.at - b.at);
}
