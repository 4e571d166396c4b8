import { alignEntry } from "../entry/entry-layout.ts";
import type { FileAccess } from "./file-access.ts";
import type { AheadSlots } from "./shared-disk.ts";

const NONE = -1;
/** So many requests per slot find no room before what has waited longest is taken to be wanted by nobody. */
const REFUSED_PER_SLOT_MAX = 4;

interface Stretch {
  access: FileAccess | undefined;
  start: number;
  length: number;
  /** Number of the request. */
  order: number;
}

/**
 * Which stretches of which files are being read ahead, or have been. All laggards share the slots: who finds none free reads
 * for himself, and what nobody comes for gives way after a while. One thread.
 */
export class AheadStretches {
  /** What `take` found last: file offset of its first byte, its length, and its memory until `take` or `leave` is called. */
  start = 0;
  length = 0;
  bytes: Buffer = Buffer.alloc(0);
  words: Int32Array = new Int32Array(0);
  private readonly slots: AheadSlots;
  private readonly stretches: Stretch[];
  private orders = 0;
  private refused = 0;
  /** The slot that the window shows. */
  private shown: number = NONE;

  constructor(slots: AheadSlots) {
    this.slots = slots;
    this.stretches = Array.from({ length: slots.count }, () => ({
      access: undefined,
      start: 0,
      length: 0,
      order: 0,
    }));
  }

  /** Has a stretch read, or what there is room for of it. @returns the file offset up to which */
  ask(access: FileAccess, from: number, to: number): number {
    const { slotBytes } = this.slots;
    let at = from;
    while (at < to) {
      const slot = this.freeSlot();
      if (slot === NONE) {
        this.refused++;
        break;
      }
      const length = Math.min(slotBytes, to - at);
      if (!this.slots.begin(slot, access.fd, at, length)) break;
      Object.assign(this.stretches[slot] as Stretch, { access, start: at, length, order: this.orders++ });
      at += length;
    }
    return at;
  }

  /** Shows the stretch with these bytes of the file, when it has been read. @returns false when there is none */
  take(access: FileAccess, offset: number, length: number): boolean {
    this.shown = NONE;
    for (const [slot, stretch] of this.stretches.entries()) {
      if (stretch.access !== access) continue;
      const end = stretch.start + stretch.length;
      if (this.shown === NONE && stretch.start <= offset && end >= offset + length) {
        if (this.show(slot, stretch) >= offset + length) this.shown = slot;
        // It failed. Whoever reads for himself meets the error, if it lasts.
        else stretch.access = undefined;
      } else if (end >= offset && end <= alignEntry(offset + length)) {
        // The stream is past it.
        stretch.access = undefined;
      }
    }
    return this.shown !== NONE;
  }

  /** The window shows something else. What is left of its slot, if anything, waits for the stream. @param offset up to which it came */
  leave(offset: number): void {
    const stretch = this.stretches[this.shown];
    this.shown = NONE;
    if (stretch !== undefined && alignEntry(offset) >= stretch.start + stretch.length)
      stretch.access = undefined;
  }

  /** Where the next stretch begins that is read ahead of this file behind the offset; Infinity: nowhere. */
  nextStart(access: FileAccess, offset: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const stretch of this.stretches) {
      if (stretch.access === access && stretch.start > offset) next = Math.min(next, stretch.start);
    }
    return next;
  }

  /** @returns the file offset behind it */
  private show(slot: number, { start }: Stretch): number {
    this.start = start;
    this.length = this.slots.finish(slot);
    this.bytes = this.slots.bytes(slot);
    this.words = this.slots.words(slot);
    return start + this.length;
  }

  private freeSlot(): number {
    let oldest = NONE;
    for (const [slot, stretch] of this.stretches.entries()) {
      // A slot that nobody wants any more may still be under way.
      if (slot === this.shown || this.slots.isPending(slot)) continue;
      if (stretch.access === undefined || stretch.access.isClosed) return slot;
      if (oldest === NONE || stretch.order < (this.stretches[oldest] as Stretch).order) oldest = slot;
    }
    if (this.refused < REFUSED_PER_SLOT_MAX * this.stretches.length) return NONE;
    this.refused = 0;
    return oldest;
  }
}
