import { BROKER_LIMITS } from "../limits.ts";
import { diskLowBytesFor, type VolumeSpace } from "./volume.ts";

/** What is known of the volume. */
export interface DiskState extends VolumeSpace {
  /** So little is free that publishes are refused. */
  readonly low: boolean;
}

/** One look at it. */
export interface DiskLook extends DiskState {
  /** Publishes may take so much until the next look, lest they pass the mark by much unseen; Infinity = that is far. */
  readonly roomBytes: number;
}

export interface DiskWatchOptions {
  readonly measure: () => Promise<VolumeSpace>;
  /** The disk has become low, or has room again. */
  readonly onChange: (look: DiskLook) => void;
  /** A look that says how much room there is, or that this is low or without bounds now. */
  readonly onRoom: (look: DiskLook) => void;
}

/**
 * Looks once a second how much of the volume is free, and more often when that gets little. Low begins and ends at different
 * marks, so that it does not flutter, and both are well before the end: what must be written to a full disk needs the rest.
 * Main thread.
 */
export class DiskWatch {
  readonly #options: DiskWatchOptions;
  #state: DiskLook = { low: false, freeBytes: 0, totalBytes: 0, roomBytes: Number.POSITIVE_INFINITY };
  #checking = false;
  #running = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: DiskWatchOptions) {
    this.#options = options;
  }

  /** As last looked at; all 0 before. */
  get state(): DiskLook {
    return this.#state;
  }

  /** Looks now, and from now on whenever the last look's `checkAfterMs` have passed. */
  async start(): Promise<void> {
    this.#running = true;
    await this.check();
    if (!this.#running) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.start(), this.checkAfterMs);
    this.#timer.unref();
  }

  stop(): void {
    this.#running = false;
    clearTimeout(this.#timer);
  }

  /** When the next look is due: soon while publishes could fill in a second what is left above the mark. */
  get checkAfterMs(): number {
    return isBounded(this.#state) ? BROKER_LIMITS.diskNearCheckMs : BROKER_LIMITS.diskCheckMs;
  }

  /** One look. Skipped while the last one still waits for the file system. */
  async check(): Promise<void> {
    if (this.#checking) return;
    this.#checking = true;
    try {
      this.#take(await this.#options.measure());
    } finally {
      this.#checking = false;
    }
  }

  #take({ totalBytes, freeBytes }: VolumeSpace): void {
    const before = this.#state;
    // A look that failed says nothing: what was known before still counts.
    if (totalBytes <= 0) return;
    const lowBytes = diskLowBytesFor(totalBytes);
    const low = freeBytes < (before.low ? lowBytes * BROKER_LIMITS.diskLowEndFactor : lowBytes);
    const roomBytes = low ? 0 : roomFor(freeBytes - lowBytes);
    this.#state = { low, freeBytes, totalBytes, roomBytes };
    if (low !== before.low) this.#options.onChange(this.#state);
    if (low !== before.low || isBounded(before) || isBounded(this.#state)) this.#options.onRoom(this.#state);
  }
}

/** Publishes have some room, and may use it up before the next look. */
function isBounded({ low, roomBytes }: DiskLook): boolean {
  return !low && roomBytes < Number.POSITIVE_INFINITY;
}

/** Not nothing, exactly at the mark: publishes would wait instead of being refused. */
function roomFor(bytes: number): number {
  const { diskNearBytes, diskNearPart } = BROKER_LIMITS;
  return bytes < diskNearBytes ? Math.max(1, bytes * diskNearPart) : Number.POSITIVE_INFINITY;
}
