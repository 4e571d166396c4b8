import { BROKER_LIMITS } from "../limits.ts";
import { diskLowBytesFor, type VolumeSpace } from "./volume.ts";

/** What is known of the volume. */
export interface DiskState extends VolumeSpace {
  /** So little is free that publishes are refused. */
  readonly low: boolean;
}

export interface DiskWatchOptions {
  readonly measure: () => Promise<VolumeSpace>;
  /** The disk has become low, or has room again. */
  readonly onChange: (state: DiskState) => void;
}

/**
 * Looks once a second how much of the volume is free. Low begins and ends at different marks, so that it does not
 * flutter, and both are well before the end: what must be written to a full disk needs the rest. Main thread.
 */
export class DiskWatch {
  readonly #options: DiskWatchOptions;
  #state: DiskState = { low: false, freeBytes: 0, totalBytes: 0 };
  #checking = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: DiskWatchOptions) {
    this.#options = options;
  }

  /** As last looked at; all 0 before. */
  get state(): DiskState {
    return this.#state;
  }

  /** Looks now, and every second from now on. */
  async start(): Promise<void> {
    this.#timer ??= setInterval(() => void this.check(), BROKER_LIMITS.diskCheckMs);
    this.#timer.unref();
    await this.check();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
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
    const before = this.#state.low;
    // A look that failed says nothing: what was known before still counts.
    if (totalBytes <= 0) return;
    const lowBytes = diskLowBytesFor(totalBytes);
    const low = freeBytes < (before ? lowBytes * BROKER_LIMITS.diskLowEndFactor : lowBytes);
    this.#state = { low, freeBytes, totalBytes };
    if (low !== before) this.#options.onChange(this.#state);
  }
}
