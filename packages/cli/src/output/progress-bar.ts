import type { Clock } from "../system-clock.ts";
import { roundedSizeText } from "./unit-text.ts";

const SHOW_AFTER_MS = 500;
const REDRAW_MS = 100;
const BAR_WIDTH = 24;

/** A terminal that a bar may be drawn on. */
export interface Terminal {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

/** Makes the line of what was counted, of how many bytes, of all of them if that is known, and the time so far. */
export type ProgressText = (
  count: number,
  bytes: number,
  totalBytes: number | undefined,
  elapsedMs: number,
) => string;

/**
 * One line that is drawn over itself, on a terminal only and only for input that takes longer than half a second.
 * Shows a bar where the size of the input is known, else what was read so far.
 */
export class ProgressBar {
  readonly #terminal: Terminal;
  readonly #clock: Clock;
  readonly #totalBytes: number | undefined;
  readonly #text: ProgressText;
  readonly #startMs: number;
  #nextDrawMs: number;
  #drawn = false;

  /** `totalBytes` undefined = not known (a pipe). */
  constructor(
    terminal: Terminal,
    clock: Clock,
    totalBytes: number | undefined,
    text: ProgressText = progressText,
  ) {
    this.#terminal = terminal;
    this.#clock = clock;
    this.#totalBytes = totalBytes;
    this.#text = text;
    this.#startMs = clock.monotonicMs();
    this.#nextDrawMs = terminal.isTTY === true ? this.#startMs + SHOW_AFTER_MS : Number.POSITIVE_INFINITY;
  }

  /** Called per chunk of input; draws at most ten times a second. */
  update(records: number, bytes: number): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < this.#nextDrawMs) return;
    this.#nextDrawMs = nowMs + REDRAW_MS;
    this.#drawn = true;
    const text = this.#text(records, bytes, this.#totalBytes, nowMs - this.#startMs);
    this.#terminal.write(`\r\u001b[K${text.slice(0, (this.#terminal.columns ?? 80) - 1)}`);
  }

  /** Takes the line away again, so that what is printed next begins on a clean one. */
  clear(): void {
    if (this.#drawn) this.#terminal.write("\r\u001b[K");
    this.#drawn = false;
  }

  /** Time since the bar was made. */
  elapsedMs(): number {
    return this.#clock.monotonicMs() - this.#startMs;
  }
}

/** The line itself: bar and percentage if the total is known, records, bytes, records per second. */
export function progressText(
  records: number,
  bytes: number,
  totalBytes: number | undefined,
  elapsedMs: number,
): string {
  const rate = elapsedMs > 0 ? Math.round((records * 1000) / elapsedMs) : 0;
  return withBar(`${records} records, ${roundedSizeText(bytes)}, ${rate} records/s`, bytes, totalBytes);
}

/** `text` behind a bar and a percentage, where the total is known. */
export function withBar(text: string, bytes: number, totalBytes: number | undefined): string {
  if (totalBytes === undefined || totalBytes <= 0) return text;
  const share = Math.min(1, bytes / totalBytes);
  const filled = Math.round(share * BAR_WIDTH);
  const bar = "#".repeat(filled) + "-".repeat(BAR_WIDTH - filled);
  return `[${bar}] ${String(Math.floor(share * 100)).padStart(3)}%  ${text}`;
}
