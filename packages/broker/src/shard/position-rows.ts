/** What the fields of a row are: of a cursor and of a queue. `mode`: index into SUBSCRIPTION_MODES; a cursor's is 0. */
export const POSITION_FIELDS: readonly (string | readonly [cursor: string, queue: string])[] = [
  "subscriptionId",
  "subscribedTopicId",
  "mode",
  "topicId",
  "partition",
  ["offset", "floor"],
  ["logEpoch", "stateBytes"],
  ["assignmentEpoch", "redelivered"],
  ["sought", "dead"],
];

/** Numbers of a row. */
export const ROW_FIELDS = 9;
const ROWS_MIN = 64;

/** Rows of ROW_FIELDS numbers, as they are written into a checkpoint. A row whose first number is 0 is free. */
export class PositionRows {
  #numbers: Float64Array = new Float64Array(ROWS_MIN * ROW_FIELDS);
  #end = 0;
  readonly #free: number[] = [];

  /** @returns the row's index */
  add(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const row = this.#end;
    this.#end += 1;
    if (this.#end * ROW_FIELDS > this.#numbers.length) {
      const grown = new Float64Array(this.#numbers.length * 2);
      grown.set(this.#numbers);
      this.#numbers = grown;
    }
    return row;
  }

  remove(row: number): void {
    this.#numbers.fill(0, row * ROW_FIELDS, (row + 1) * ROW_FIELDS);
    this.#free.push(row);
  }

  /** The row's memory, until the next add(). */
  at(row: number): Float64Array {
    return this.#numbers.subarray(row * ROW_FIELDS, (row + 1) * ROW_FIELDS);
  }

  /** In use until the next change. */
  encode(): Uint8Array {
    return new Uint8Array(this.#numbers.buffer, 0, this.#end * ROW_FIELDS * 8);
  }
}

/** The rows that encode() has written, with their index; free ones are left out. */
export function* positionRows(bytes: Uint8Array): Generator<readonly [row: number, fields: Float64Array]> {
  // Unpacked bytes stand anywhere, and a Buffer's own slice() would be a view of them.
  const numbers = new Float64Array(Uint8Array.prototype.slice.call(bytes).buffer, 0, bytes.length >> 3);
  for (let row = 0; (row + 1) * ROW_FIELDS <= numbers.length; row += 1) {
    const fields = numbers.subarray(row * ROW_FIELDS, (row + 1) * ROW_FIELDS);
    if (fields[0] !== 0) yield [row, fields];
  }
}
