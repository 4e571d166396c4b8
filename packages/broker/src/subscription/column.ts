type Column = Float64Array | Uint32Array | Int32Array | Uint16Array | Uint8Array;

/** A copy of `length` elements of a table's column: longer with zeros, or shorter. */
export function resized<T extends Column>(column: T, length: number): T {
  const copy = new (column.constructor as new (length: number) => T)(length);
  copy.set(column.length <= length ? column : column.subarray(0, length));
  return copy;
}

/** Columns of a table without rows, shared by all of them. */
export const NO_NUMBERS: Float64Array = new Float64Array(0);
export const NO_INTEGERS: Int32Array = new Int32Array(0);
export const NO_SHORTS: Uint16Array = new Uint16Array(0);
