import { Packr } from "msgpackr";

// Plain MessagePack only: no shared structures, no records, nothing that another library could not read.
const packr: Packr = new Packr({ useRecords: false, variableMapSize: true, encodeUndefinedAsNil: true });

/**
 * MessagePack of a value that is not plain data (a Date, a bigint and so on). The result is a view that msgpackr may
 * reuse: copy it before the next call.
 */
export function packValue(value: unknown): Uint8Array {
  return packr.pack(value);
}
