import { nextTurn } from "../agent/next-turn.ts";
import { CORE_LIMITS } from "../limits.ts";
import type { MessageHandler } from "../ring/ring-buffer.ts";
import type { ChannelEnd } from "./channel-end.ts";
import type { SpaceWaiter } from "./channel-promises.ts";

/** How `onRecords` reads. */
export interface RecordsOptions {
  /** Most records in one go, 1 or more; the loop's other work has its turn before the next. 1024 unless told otherwise. */
  readonly limit?: number;
  /** Is told what the handler throws. Without it that is an uncaught exception of the loop. The rest goes on in any case. */
  readonly onError?: (error: unknown) => void;
}

/** A channel's end on an event loop: turns of bounded work, between which it is parked on its doorbell. */
export class ChannelLoop {
  private readonly end: ChannelEnd;
  private handler: MessageHandler | undefined;
  private limit: number = CORE_LIMITS.channelRecordsPerTurn;
  private onError: ((error: unknown) => void) | undefined;
  private waiters: SpaceWaiter[] = [];
  private scheduled = false;
  private pokedTurns = 0;
  private mayKeep = true;

  constructor(end: ChannelEnd) {
    this.end = end;
    end.onChange = () => this.onChange();
  }

  /** Whether somebody waits for a turn. */
  get isUsed(): boolean {
    return this.handler !== undefined || this.waiters.length > 0;
  }

  /** @returns ends it. */
  handTo(handler: MessageHandler, options: RecordsOptions): () => void {
    const limit = options.limit ?? CORE_LIMITS.channelRecordsPerTurn;
    if (!(limit >= 1)) throw new RangeError(`limit must be at least 1: limit=${limit}`);
    if (this.handler !== undefined)
      throw new Error("the channel hands its records to another handler already");
    this.handler = handler;
    this.limit = limit;
    this.onError = options.onError;
    this.updateKeep();
    this.schedule();
    return () => {
      if (this.handler !== handler) return;
      this.handler = undefined;
      this.end.halt();
      this.updateKeep();
    };
  }

  /** Resolves with whether `bytes` are free, once they are or never will be. */
  awaitSpace(bytes: number): Promise<boolean> {
    return new Promise((resolve) => {
      this.waiters.push({ bytes, resolve });
      this.updateKeep();
      this.schedule();
    });
  }

  /** @param may whether the end may keep its thread alive at all. */
  keep(may: boolean): void {
    this.mayKeep = may;
    this.updateKeep();
  }

  updateKeep(): void {
    if (this.end.finished) return;
    this.end.link.keep(this.mayKeep && (this.isUsed || this.end.connection.isPending));
  }

  private onChange(): void {
    if (this.end.finished) {
      this.handler = undefined;
      this.settleWaiters();
    } else if (!this.scheduled) {
      // A port hands over many messages in one turn of its loop, and each may find more records that have come since.
      if (++this.pokedTurns > CORE_LIMITS.channelTurnsPerLoop) this.schedule();
      else this.turn();
    }
  }

  private schedule(): void {
    if (this.scheduled || this.end.finished) return;
    this.scheduled = true;
    nextTurn(() => {
      this.scheduled = false;
      this.pokedTurns = 0;
      this.turn();
    });
  }

  private turn(): void {
    if (this.end.finished) return;
    this.end.bell.cancelSleep();
    const more = this.handRecords();
    this.end.flush();
    this.end.look();
    this.settleWaiters();
    this.updateKeep();
    if (more || !this.park()) this.schedule();
    else this.end.checkEnd();
  }

  /** @returns whether there may be more. */
  private handRecords(): boolean {
    const handler = this.handler;
    if (handler === undefined) return false;
    try {
      return this.end.read(handler, this.limit) >= this.limit;
    } catch (error) {
      this.report(error);
      return true;
    }
  }

  private report(error: unknown): void {
    const { onError } = this;
    // As from a timer: the error is nobody's to catch, and must not keep this turn from its end.
    queueMicrotask(() => {
      if (onError === undefined) throw error;
      onError(error);
    });
  }

  /** Announces sleep where somebody waits, and looks once more. @returns false when there is something to do. */
  private park(): boolean {
    const { handler, waiters } = this;
    if (this.end.finished || (handler === undefined && waiters.length === 0)) return true;
    this.end.bell.park();
    let least = Number.POSITIVE_INFINITY;
    for (const { bytes } of waiters) least = Math.min(least, bytes);
    if (waiters.length > 0) this.end.wantSpace(least);
    const ready =
      (handler !== undefined && this.end.isReady(0)) || (waiters.length > 0 && this.end.isReady(least));
    if (ready) this.end.bell.cancelSleep();
    return !ready;
  }

  private settleWaiters(): void {
    if (this.waiters.length === 0) return;
    const { open } = this.end;
    const pending: SpaceWaiter[] = [];
    for (const waiter of this.waiters) {
      if (open && !this.end.isReady(waiter.bytes)) pending.push(waiter);
      else waiter.resolve(open);
    }
    this.waiters = pending;
    if (pending.length === 0) this.end.wantSpace(0);
  }
}
