import { readSync } from "node:fs";
import type { AheadSlots, SharedDisk } from "../../src/read/shared-disk.ts";

/** A stretch that was to be read ahead. */
export interface Begun {
  readonly fd: number;
  readonly position: number;
  readonly length: number;
}

interface Slot {
  readonly bytes: Buffer;
  readonly words: Int32Array;
  pending: Begun | undefined;
  filled: number;
}

/** Slots that are filled when somebody waits for them, or when a test wants; they keep what was begun. */
export class FakeSlots implements AheadSlots {
  readonly count: number;
  readonly slotBytes: number;
  readonly begun: Begun[] = [];
  /** Whether somebody is there to fill a slot, and whether that works. */
  takes: () => boolean = () => true;
  works: () => boolean = () => true;
  private readonly slots: Slot[];

  constructor(count: number, slotBytes: number) {
    this.count = count;
    this.slotBytes = slotBytes;
    this.slots = Array.from({ length: count }, () => {
      const memory = new SharedArrayBuffer(slotBytes);
      return { bytes: Buffer.from(memory), words: new Int32Array(memory), pending: undefined, filled: 0 };
    });
  }

  begin(slot: number, fd: number, position: number, length: number): boolean {
    const entry = this.slots[slot] as Slot;
    if (entry.pending !== undefined) throw new Error(`slot ${slot} is being filled`);
    if (length <= 0 || length > this.slotBytes) throw new Error(`bad length ${length}`);
    if (!this.takes()) return false;
    entry.pending = { fd, position, length };
    this.begun.push(entry.pending);
    // Whoever still looks at what was there sees it.
    entry.bytes.fill(0xee);
    return true;
  }

  isPending(slot: number): boolean {
    return (this.slots[slot] as Slot).pending !== undefined;
  }

  finish(slot: number): number {
    this.fill(slot);
    return (this.slots[slot] as Slot).filled;
  }

  /** Fills the slot, if it is to be filled. */
  fill(slot: number): void {
    const entry = this.slots[slot] as Slot;
    const { pending } = entry;
    if (pending === undefined) return;
    entry.pending = undefined;
    entry.filled = 0;
    if (!this.works()) return;
    try {
      entry.filled = readSync(pending.fd, entry.bytes, 0, pending.length, pending.position);
    } catch {
      // The file was closed meanwhile.
    }
  }

  bytes(slot: number): Buffer {
    return (this.slots[slot] as Slot).bytes;
  }

  words(slot: number): Int32Array {
    return (this.slots[slot] as Slot).words;
  }
}

/** A disk that is busy, and has to be asked for what is read through the page cache, as a test wants. */
export class FakeDisk implements SharedDisk {
  readonly slots: FakeSlots | undefined;
  private bytes = 0;
  private readonly busy: () => boolean;
  private readonly cold: () => boolean;

  constructor(busy: () => boolean, cold: () => boolean, slots?: FakeSlots) {
    this.busy = busy;
    this.cold = cold;
    this.slots = slots;
  }

  isBusy(): boolean {
    return this.busy();
  }

  bytesRead(): number {
    if (this.cold()) this.bytes += 4_096;
    return this.bytes;
  }
}
