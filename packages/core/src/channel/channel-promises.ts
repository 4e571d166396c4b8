/**
 * Why a channel is closed. "local": this end's `close`. "remote": the other end's. "lost": the other's thread has ended, or its port was
 * closed, without.
 */
export type CloseReason = "local" | "remote" | "lost";

/** Somebody who waits for so many free bytes; resolved with false when there will never be. */
export interface SpaceWaiter {
  readonly bytes: number;
  readonly resolve: (free: boolean) => void;
}

/** A promise that is made when somebody asks for it, so that nobody's rejection is unhandled. */
export class ConnectedPromise {
  private made: Promise<void> | undefined;
  private settle: { resolve: () => void; reject: (error: Error) => void } | undefined;
  private outcome: "pending" | "connected" | "closed" = "pending";

  get promise(): Promise<void> {
    this.made ??= new Promise((resolve, reject) => {
      if (this.outcome === "connected") resolve();
      else if (this.outcome === "closed") reject(neverConnected());
      else this.settle = { resolve, reject };
    });
    return this.made;
  }

  /** Whether somebody has asked and not been answered. */
  get isPending(): boolean {
    return this.settle !== undefined;
  }

  /** @returns whether somebody was waiting. */
  resolve(): boolean {
    if (this.outcome !== "pending") return false;
    this.outcome = "connected";
    const waited = this.settle !== undefined;
    this.settle?.resolve();
    this.settle = undefined;
    return waited;
  }

  /** Nothing after `resolve`. */
  reject(): void {
    if (this.outcome !== "pending") return;
    this.outcome = "closed";
    this.settle?.reject(neverConnected());
    this.settle = undefined;
  }
}

/** Those who want to know of the end, which they are told in a microtask, once, however late they come. */
export class ClosedListeners {
  private listeners: ((reason: CloseReason) => void)[] = [];
  private reason: CloseReason | undefined;

  add(listener: (reason: CloseReason) => void): void {
    const { reason } = this;
    if (reason === undefined) this.listeners.push(listener);
    else queueMicrotask(() => listener(reason));
  }

  tell(reason: CloseReason): void {
    this.reason = reason;
    for (const listener of this.listeners) queueMicrotask(() => listener(reason));
    this.listeners = [];
  }
}

function neverConnected(): Error {
  return new Error("the channel was closed before its other end was connected");
}
