import type { SeededRandom } from "./seeded-random.ts";

/** What a disk writes as a whole, mostly. */
const SECTOR_BYTES = 512;
const TORN_SECTOR_CHANCE = 0.1;

/**
 * The bytes of a file as programs see them, and as the disk has them. A sync makes both the same; when the power fails,
 * each sector that differs has the one or the other content.
 */
export class SimulatedFile {
  private live: Uint8Array = new Uint8Array(0);
  private liveSize = 0;
  private durable: Uint8Array = new Uint8Array(0);
  private durableSize = 0;
  private readonly dirty: Set<number> = new Set();

  get size(): number {
    return this.liveSize;
  }

  read(target: Uint8Array, targetStart: number, length: number, position: number): number {
    const bytes = Math.max(0, Math.min(length, this.liveSize - position));
    target.set(this.live.subarray(position, position + bytes), targetStart);
    return bytes;
  }

  write(source: Uint8Array, sourceStart: number, length: number, position: number): void {
    const end = position + length;
    this.live = withRoom(this.live, end);
    this.live.set(source.subarray(sourceStart, sourceStart + length), position);
    this.liveSize = Math.max(this.liveSize, end);
    this.mark(position, end);
  }

  truncate(size: number): void {
    this.live = withRoom(this.live, size);
    if (size < this.liveSize) {
      this.mark(size, this.liveSize);
      this.live.fill(0, size, this.liveSize);
    }
    this.liveSize = size;
  }

  sync(): void {
    this.durable = withRoom(this.durable, this.live.length);
    for (const sector of this.dirty) {
      const start = sector * SECTOR_BYTES;
      this.durable.set(this.live.subarray(start, start + SECTOR_BYTES), start);
    }
    this.durableSize = this.liveSize;
    this.dirty.clear();
  }

  /** The disk refuses some sectors, and the system forgets that it still had to write them, as Linux does. */
  failSync(random: SeededRandom): void {
    this.durable = withRoom(this.durable, this.live.length);
    for (const sector of this.dirty) {
      const start = sector * SECTOR_BYTES;
      if (random.chance(0.5)) this.durable.set(this.live.subarray(start, start + SECTOR_BYTES), start);
    }
    this.durableSize = Math.max(this.durableSize, this.liveSize);
    this.dirty.clear();
  }

  /** What is left after the power failed: any part of what was not synced. */
  losePower(random: SeededRandom): void {
    const size = this.sizeAfterPowerLoss(random);
    const length = Math.max(this.live.length, this.durable.length);
    this.live = withRoom(this.live, length);
    this.durable = withRoom(this.durable, length);
    const keepChance = random.pick([0, 0.2, 0.5, 0.8, 1]);
    for (const sector of this.dirty) {
      const start = sector * SECTOR_BYTES;
      let kept = random.chance(keepChance) ? SECTOR_BYTES : 0;
      if (random.chance(TORN_SECTOR_CHANCE)) kept = random.below(SECTOR_BYTES);
      this.durable.set(this.live.subarray(start, start + kept), start);
    }
    this.durable.fill(0, size);
    this.durableSize = size;
    this.live = this.durable.slice();
    this.liveSize = size;
    this.dirty.clear();
  }

  flipBit(position: number, bit: number): void {
    for (const bytes of [this.live, this.durable]) {
      if (position < bytes.length) bytes[position] = (bytes[position] as number) ^ (1 << bit);
    }
  }

  clone(): SimulatedFile {
    const copy = new SimulatedFile();
    copy.live = this.live.slice();
    copy.liveSize = this.liveSize;
    copy.durable = this.durable.slice();
    copy.durableSize = this.durableSize;
    for (const sector of this.dirty) copy.dirty.add(sector);
    return copy;
  }

  private mark(start: number, end: number): void {
    for (let sector = Math.floor(start / SECTOR_BYTES); sector * SECTOR_BYTES < end; sector++) {
      this.dirty.add(sector);
    }
  }

  private sizeAfterPowerLoss(random: SeededRandom): number {
    if (this.liveSize === this.durableSize) return this.liveSize;
    const low = Math.min(this.liveSize, this.durableSize);
    const high = Math.max(this.liveSize, this.durableSize);
    return random.pick([this.liveSize, this.durableSize, low + random.below(high - low)]);
  }
}

function withRoom(bytes: Uint8Array, size: number): Uint8Array {
  const sectors = Math.ceil(size / SECTOR_BYTES) * SECTOR_BYTES;
  if (bytes.length >= sectors) return bytes;
  const larger = new Uint8Array(Math.max(sectors, bytes.length * 2));
  larger.set(bytes);
  return larger;
}
