/** `find`: no row is of this partition. */
export const NO_ROW = -1;

/** Finds partitions in rows that begin with topicId and partition, sorted by both. Allocates nothing when asked. */
export class PartitionRows {
  readonly count: number;
  private readonly rows: Float64Array;
  private readonly fields: number;
  /** Open addressing; row + 1, 0 = free. */
  private readonly slots: Int32Array;
  private readonly mask: number;

  /** @param fields numbers in a row. */
  constructor(rows: Float64Array, fields: number) {
    this.rows = rows;
    this.fields = fields;
    this.count = rows.length / fields;
    const size = 2 ** Math.ceil(Math.log2(this.count * 2 + 1));
    this.slots = new Int32Array(size);
    this.mask = size - 1;
    for (let row = 0; row < this.count; row++) {
      if (row > 0 && !this.follows(row))
        throw new RangeError(`rows of partitions are not sorted: row=${row}`);
      let slot = this.slotOf(this.topicId(row), this.partition(row));
      while (this.slots[slot] !== 0) slot = (slot + 1) & this.mask;
      this.slots[slot] = row + 1;
    }
  }

  /** @returns the number of the row, or NO_ROW */
  find(topicId: number, partition: number): number {
    let slot = this.slotOf(topicId, partition);
    for (;;) {
      const row = (this.slots[slot] as number) - 1;
      if (row < 0) return NO_ROW;
      const at = row * this.fields;
      if (this.rows[at] === topicId && this.rows[at + 1] === partition) return row;
      slot = (slot + 1) & this.mask;
    }
  }

  topicId(row: number): number {
    return this.rows[row * this.fields] as number;
  }

  partition(row: number): number {
    return this.rows[row * this.fields + 1] as number;
  }

  field(row: number, field: number): number {
    return this.rows[row * this.fields + field] as number;
  }

  private slotOf(topicId: number, partition: number): number {
    const mixed = Math.imul(topicId, 0x9e3779b1) ^ Math.imul(partition, 0x85ebca6b);
    return (mixed ^ (mixed >>> 15)) & this.mask;
  }

  private follows(row: number): boolean {
    const topicDelta = this.topicId(row) - this.topicId(row - 1);
    return topicDelta > 0 || (topicDelta === 0 && this.partition(row) > this.partition(row - 1));
  }
}
