import { FrameReader } from "./frame-reader.ts";
import { FrameWriter } from "./frame-writer.ts";
import { MillraceError } from "./millrace-error.ts";
import { MSGPACK } from "./msgpack-format.ts";
import { MALFORMED } from "./parse-outcome.ts";
import { type HeaderValue, RECORD_ELEMENTS } from "./record.ts";
import { skipValue } from "./skip-value.ts";
import { arrayHeaderEnd, arrayLength } from "./uint-format.ts";

const BARE_ENVELOPE = MSGPACK.FIX_ARRAY | RECORD_ELEMENTS;
/** Usual room for headers that a broker adds. */
const ADDED_BYTES = 512;
const reader = new FrameReader();

// Single parts of a record whose content is bytes[start, end): [attributes, key, headers, value], without the rest of it.

/** Where the key starts, or MALFORMED. It may end beyond `end`. */
export function keyStart(bytes: Uint8Array, start: number, end: number): number {
  if (end - start > 2 && bytes[start] === BARE_ENVELOPE && bytes[start + 1] === MSGPACK.NIL) return start + 2;
  const attributes = arrayHeaderEnd(bytes, start, end);
  if (attributes < 0 || arrayLength(bytes, start) < RECORD_ELEMENTS) return MALFORMED;
  const at = skipValue(bytes, attributes, end);
  return at < end ? at : MALFORMED;
}

/**
 * The key of a record; undefined when it has none or was removed. Binary is a view.
 * @throws MillraceError INVALID_BATCH when the record is not one
 */
export function readRecordKey(bytes: Uint8Array, start: number, end: number): HeaderValue | undefined {
  if (start === end) return undefined;
  return parse(() => {
    openAtKey(bytes, start, end);
    return reader.nil() ? undefined : reader.text();
  });
}

/**
 * The headers of a record; undefined when it has none or was removed. Binary values are views.
 * @throws MillraceError INVALID_BATCH when the record is not one
 */
export function readRecordHeaders(
  bytes: Uint8Array,
  start: number,
  end: number,
): Readonly<Record<string, HeaderValue>> | undefined {
  if (start === end) return undefined;
  return parse(() => {
    openAtKey(bytes, start, end);
    reader.skip();
    return reader.nil() ? undefined : readHeaders(reader);
  });
}

/**
 * The content of a record that is the given one with more headers; those of the same names are replaced. Attributes, key
 * and value are taken as they are. For what only a broker may write, so names are not checked. A copy.
 * @throws MillraceError INVALID_BATCH when the record is not one, or was removed
 */
export function recordWithHeaders(
  bytes: Uint8Array,
  start: number,
  end: number,
  added: Readonly<Record<string, HeaderValue>>,
): Uint8Array {
  return parse(() => {
    openAtKey(bytes, start, end);
    const writer = new FrameWriter(end - start + ADDED_BYTES);
    reader.skip();
    writer.raw(bytes.subarray(start, reader.position));
    const headers = reader.nil() ? {} : readHeaders(reader);
    writer.any({ ...headers, ...added });
    writer.raw(bytes.subarray(reader.position, end));
    return writer.bytes();
  });
}

/** A record's header map. */
export function readHeaders(from: FrameReader): Readonly<Record<string, HeaderValue>> {
  const headers: Record<string, HeaderValue> = {};
  for (let left = from.mapHeader(); left > 0; left -= 1) {
    const name = from.str();
    const value = from.text();
    // Plain assignment to this one name would replace the object's prototype.
    if (name === "__proto__") Object.defineProperty(headers, name, { value, enumerable: true });
    else headers[name] = value;
  }
  return headers;
}

function openAtKey(bytes: Uint8Array, start: number, end: number): void {
  const at = keyStart(bytes, start, end);
  if (at === MALFORMED) throw new MillraceError("INVALID_BATCH", "a record is malformed");
  reader.reset(bytes, at, end);
}

function parse<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new MillraceError("INVALID_BATCH", "a record is malformed", { cause: error });
  }
}
