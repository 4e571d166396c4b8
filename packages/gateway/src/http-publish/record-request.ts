import { BatchBuilder, LIMITS, MillraceError, type OutgoingRecord } from "@millrace/protocol";
import { RESERVED_HEADER_PREFIX } from "@millrace/protocol/internal";
import { GATEWAY_LIMITS } from "../limits.ts";
import type { HttpRequest } from "../listener.ts";

/** A record of an HTTP request. It fits a batch: all that BatchBuilder would refuse was refused before. */
export interface RequestedRecord extends OutgoingRecord {
  readonly key: string | undefined;
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly value: string | Uint8Array;
  readonly partition: number | undefined;
}

/** Reads the records out of a body; `bytes` are the caller's again when it returns. */
export type ReadRecords = (bytes: Uint8Array) => readonly RequestedRecord[];

const KEY_HEADER = "millrace-key";
const PARTITION_HEADER = "millrace-partition";
const HEADER_PREFIX = "millrace-header-";
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/;
const RECORD_FIELDS: ReadonlySet<string> = new Set(["value", "valueBase64", "key", "headers", "partition"]);
/** More than what MessagePack adds to a string, and to a record. */
const STRING_OVERHEAD_BYTES = 5;
const RECORD_OVERHEAD_BYTES = 32;

const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * How the body of a request is read, by its content type. To be called while the request's header fields are there.
 * @throws MillraceError UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, RECORD_TOO_LARGE; the function that it returns too
 */
export function recordReaderFor(request: HttpRequest): ReadRecords {
  const encoding = request.header("content-encoding").toLowerCase();
  if (encoding !== "" && encoding !== "identity") {
    throw unsupported(`content-encoding ${encoding} is not supported`);
  }
  const contentType = request.header("content-type");
  const type = contentType.split(";", 1)[0]?.trim().toLowerCase();
  const charset = /;\s*charset="?([^";\s]+)/i.exec(contentType)?.[1]?.toLowerCase() ?? "utf-8";
  if (charset !== "utf-8" && charset !== "utf8" && charset !== "us-ascii") {
    throw unsupported(`charset ${charset} is not supported: send UTF-8`);
  }
  switch (type) {
    case "application/json":
      return (bytes) => recordsOfJson(textOf(bytes));
    case "":
    case "application/octet-stream":
      return singleRecord(request, (bytes) => bytes.slice());
    case "text/plain":
      return singleRecord(request, textOf);
    default:
      throw unsupported(
        `content-type ${type}: send application/json, or one record as application/octet-stream or text/plain`,
      );
  }
}

function singleRecord(
  request: HttpRequest,
  toValue: (bytes: Uint8Array) => string | Uint8Array,
): ReadRecords {
  let key: string | undefined;
  let partition: number | undefined;
  let headers: Record<string, string> | undefined;
  request.eachHeader((name, value) => {
    if (!name.startsWith("millrace-")) return;
    if (name === KEY_HEADER) key = value;
    else if (name === PARTITION_HEADER)
      partition = partitionOf(/^\d+$/.test(value) ? Number(value) : value, "");
    else if (name.startsWith(HEADER_PREFIX) && name.length > HEADER_PREFIX.length) {
      headers ??= Object.create(null) as Record<string, string>;
      headers[name.slice(HEADER_PREFIX.length)] = value;
    } else {
      throw invalid(
        `header field ${name}: known are ${KEY_HEADER}, ${PARTITION_HEADER} and ${HEADER_PREFIX}*`,
      );
    }
  });
  return (bytes) => [fitting({ key, headers, value: toValue(bytes), partition }, "")];
}

function recordsOfJson(text: string): RequestedRecord[] {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (cause) {
    throw invalid(`the body is not JSON: ${(cause as Error).message}`);
  }
  if (!isObject(body)) throw invalid('the body must be {"records":[…]}');
  const { records, ...others } = body;
  const [other] = Object.keys(others);
  if (other !== undefined) throw invalid(`unknown member ${JSON.stringify(other)}`);
  if (!Array.isArray(records) || records.length === 0) {
    throw invalid('the body must be {"records":[…]}, with one record at least');
  }
  if (records.length > GATEWAY_LIMITS.httpRecordsMax) {
    throw new MillraceError(
      "REQUEST_TOO_LARGE",
      `a request has at most ${GATEWAY_LIMITS.httpRecordsMax} records, this one has ${records.length}`,
    );
  }
  return records.map((record, index) => recordOfJson(record, `records[${index}]`));
}

function recordOfJson(given: unknown, at: string): RequestedRecord {
  if (!isObject(given)) throw invalid(`${at} must be an object`, at);
  for (const name in given) {
    if (!RECORD_FIELDS.has(name)) throw invalid(`${at} has an unknown member ${JSON.stringify(name)}`, at);
  }
  const { key, headers } = given;
  if (key !== undefined && key !== null && typeof key !== "string") {
    throw invalid(`${at}.key must be a string`, at);
  }
  const partition =
    given.partition === undefined || given.partition === null ? undefined : partitionOf(given.partition, at);
  return fitting(
    { key: key ?? undefined, headers: headersOf(headers, at), value: jsonValue(given, at), partition },
    at,
  );
}

function jsonValue(given: Readonly<Record<string, unknown>>, at: string): string | Uint8Array {
  const { value, valueBase64 } = given;
  if (valueBase64 !== undefined) {
    if (value !== undefined) throw invalid(`${at} has both value and valueBase64`, at);
    if (typeof valueBase64 !== "string" || !BASE64.test(valueBase64)) {
      throw invalid(`${at}.valueBase64 must be a string in base64`, at);
    }
    return Buffer.from(valueBase64, "base64");
  }
  if (value === undefined) throw invalid(`${at} has neither value nor valueBase64`, at);
  return typeof value === "string" ? value : JSON.stringify(value);
}

function headersOf(given: unknown, at: string): Record<string, string> | undefined {
  if (given === undefined || given === null) return undefined;
  if (!isObject(given)) throw invalid(`${at}.headers must be an object`, at);
  for (const value of Object.values(given)) {
    if (typeof value !== "string") throw invalid(`${at}.headers must have strings as values`, at);
  }
  return given as Record<string, string>;
}

function partitionOf(given: unknown, at: string): number {
  if (Number.isSafeInteger(given) && (given as number) >= 0) return given as number;
  throw invalid(`${at === "" ? PARTITION_HEADER : `${at}.partition`} must be an integer of 0 or more`, at);
}

/**
 * Refuses what a BatchBuilder would: once the records before it are in a batch it would be too late. Its own check is
 * made only where a bound from above is not enough.
 */
function fitting(record: RequestedRecord, at: string): RequestedRecord {
  const { key, headers, value } = record;
  let headerBytes = 0;
  for (const name in headers) {
    if (name.startsWith(RESERVED_HEADER_PREFIX)) {
      throw invalid(`${at}: headers that start with ${RESERVED_HEADER_PREFIX} are the broker's own`, at);
    }
    headerBytes += 3 * (name.length + (headers[name] as string).length) + 2 * STRING_OVERHEAD_BYTES;
  }
  const keyBytes = key === undefined ? 0 : 3 * key.length;
  const valueBytes = typeof value === "string" ? 3 * value.length : value.length;
  const bytes = keyBytes + headerBytes + valueBytes + RECORD_OVERHEAD_BYTES;
  if (
    keyBytes > LIMITS.keyBytesMax ||
    headerBytes > LIMITS.headersBytesMax ||
    bytes > LIMITS.recordBytesMax
  ) {
    new BatchBuilder(LIMITS.batchBytesMax).append(record);
  }
  return record;
}

function textOf(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw invalid("the body is not UTF-8");
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(message: string, at = ""): MillraceError {
  return new MillraceError(
    "INVALID_REQUEST",
    message.replace(/^: /, ""),
    at === "" ? {} : { details: { at } },
  );
}

function unsupported(message: string): MillraceError {
  return new MillraceError("UNSUPPORTED_MEDIA_TYPE", message);
}
