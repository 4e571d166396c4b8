import { GATEWAY_LIMITS } from "./limits.ts";

/** A sender whose unsent bytes are counted. */
export interface MeteredSender {
  /** Unsent bytes at the last look; kept by the meter. */
  unsentBytes: number;
}

/**
 * Unsent bytes of all sockets. Each socket alone is bounded by its high-water mark; many that do not read are bounded
 * by this: past the total the mark sinks, and past twice the total the worst sockets are closed.
 */
export class OutputMeter {
  readonly #totalBytesMax: number;
  readonly #blocked: Set<MeteredSender> = new Set();
  #totalBytes = 0;

  constructor(totalBytesMax: number = GATEWAY_LIMITS.outputTotalBytesMax) {
    this.#totalBytesMax = totalBytesMax;
  }

  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** Those with unsent bytes. */
  get blocked(): ReadonlySet<MeteredSender> {
    return this.#blocked;
  }

  /** Unsent bytes from which on a socket gets no more deliveries and acks. */
  get highWaterBytes(): number {
    return this.isTight ? GATEWAY_LIMITS.outputHighWaterTightBytes : GATEWAY_LIMITS.outputHighWaterBytes;
  }

  /** The total is past its bound: sockets get less at once. */
  get isTight(): boolean {
    return this.#totalBytes > this.#totalBytesMax;
  }

  /** Past twice the total: a socket that still takes no more than it is sent is closed. */
  get isOverrun(): boolean {
    return this.#totalBytes > 2 * this.#totalBytesMax;
  }

  update(sender: MeteredSender, unsentBytes: number): void {
    this.#totalBytes += unsentBytes - sender.unsentBytes;
    if (unsentBytes > 0) this.#blocked.add(sender);
    else if (sender.unsentBytes > 0) this.#blocked.delete(sender);
    sender.unsentBytes = unsentBytes;
  }

  /** The sender with the most unsent bytes if the total is past twice its bound: close it. */
  worst(): MeteredSender | undefined {
    if (!this.isOverrun) return undefined;
    let worst: MeteredSender | undefined;
    for (const sender of this.#blocked) {
      if (worst === undefined || sender.unsentBytes > worst.unsentBytes) worst = sender;
    }
    return worst;
  }
}
