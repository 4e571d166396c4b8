import type { RunProgress } from "@millrace/load";
import { type Terminal, withBar } from "../output/progress-bar.ts";
import { rateText } from "./rate-text.ts";

/** One line that is drawn over itself while a bench runs; on a terminal only. */
export class LiveDisplay {
  readonly #terminal: Terminal;
  readonly #rounds: number;

  constructor(terminal: Terminal, rounds: number) {
    this.#terminal = terminal;
    this.#rounds = rounds;
  }

  /** `round` counts from 1. */
  show(round: number, progress: RunProgress): void {
    this.text(progressLine(round, this.#rounds, progress));
  }

  text(line: string): void {
    if (this.#terminal.isTTY !== true) return;
    this.#terminal.write(`\r\u001b[K${line.slice(0, (this.#terminal.columns ?? 80) - 1)}`);
  }

  clear(): void {
    if (this.#terminal.isTTY === true) this.#terminal.write("\r\u001b[K");
  }
}

/** `[####----]  50%  round 1/3  measuring  published 1.23 M/s  received 1.22 M/s` */
export function progressLine(round: number, rounds: number, progress: RunProgress): string {
  const { publishedPerSecond, receivedPerSecond, answeredPerSecond, elapsedMs, totalMs } = progress;
  const rates = [
    publishedPerSecond > 0 ? `published ${rateText(publishedPerSecond)}` : "",
    receivedPerSecond > 0 ? `received ${rateText(receivedPerSecond)}` : "",
    answeredPerSecond > 0 ? `answered ${rateText(answeredPerSecond)}` : "",
  ].filter((text) => text !== "");
  const parts = [`round ${round}/${rounds}`, progress.phase, ...rates];
  return withBar(parts.join("  "), Math.min(elapsedMs, totalMs), totalMs);
}
