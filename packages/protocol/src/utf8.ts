// Names, keys and headers are short: up to a few dozen characters a loop beats each call into the runtime. For longer
// strings Node's own methods, where there are any, take a third of TextEncoder's time, and a string whose UTF-8 is no
// longer than itself is ASCII, which Latin-1 writes faster still.

/** Up to this many characters `writeAscii` is worth trying first; a FIX_STR's length. */
export const SHORT_STRING_CHARS = 31;
const SHORT_READ_BYTES = 16;

interface NodeText {
  utf8Slice(this: Uint8Array, start: number, end: number): string;
  utf8Write(this: Uint8Array, text: string, at: number, length: number): number;
  latin1Write(this: Uint8Array, text: string, at: number, length: number): number;
}

const node: NodeText | undefined =
  typeof Buffer === "function" ? (Buffer.prototype as unknown as NodeText) : undefined;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Bytes that `text` takes in UTF-8; a lone surrogate counts as U+FFFD, as it is written. */
export function utf8ByteLength(text: string): number {
  const length = text.length;
  if (node !== undefined && length > SHORT_READ_BYTES) return Buffer.byteLength(text, "utf8");
  let bytes = length;
  for (let i = 0; i < length; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    if (unit < 0x800) {
      bytes += 1;
    } else {
      bytes += 2;
      if (isHighSurrogate(unit) && isLowSurrogate(text.charCodeAt(i + 1))) i += 1;
    }
  }
  return bytes;
}

/** Writes `text` at `at` if it is ASCII; otherwise false, and the bytes there are undefined. For short strings. */
export function writeAscii(bytes: Uint8Array, at: number, text: string): boolean {
  const length = text.length;
  for (let i = 0; i < length; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) return false;
    bytes[at + i] = unit;
  }
  return true;
}

/** Writes `text`, which takes `byteLength` bytes, at `at`. The caller has made sure that it fits. */
export function writeUtf8(bytes: Uint8Array, at: number, text: string, byteLength: number): void {
  if (byteLength === text.length && byteLength <= SHORT_STRING_CHARS) {
    writeAscii(bytes, at, text);
  } else if (node === undefined) {
    encoder.encodeInto(text, bytes.subarray(at, at + byteLength));
  } else if (byteLength === text.length) {
    node.latin1Write.call(bytes, text, at, byteLength);
  } else {
    node.utf8Write.call(bytes, text, at, byteLength);
  }
}

/** The string in [start, end); bytes that are not UTF-8 become U+FFFD. */
export function readUtf8(bytes: Uint8Array, start: number, end: number): string {
  if (end - start <= SHORT_READ_BYTES) {
    const text = readAscii(bytes, start, end);
    if (text !== undefined) return text;
  }
  if (node !== undefined) return node.utf8Slice.call(bytes, start, end);
  return decoder.decode(bytes.subarray(start, end));
}

/** The string in [start, end) if it is ASCII. By eights and fours: joining single characters takes twice as long. */
function readAscii(bytes: Uint8Array, start: number, end: number): string | undefined {
  let text = "";
  let at = start;
  for (; at + 8 <= end; at += 8) {
    const a = bytes[at] as number;
    const b = bytes[at + 1] as number;
    const c = bytes[at + 2] as number;
    const d = bytes[at + 3] as number;
    const e = bytes[at + 4] as number;
    const f = bytes[at + 5] as number;
    const g = bytes[at + 6] as number;
    const h = bytes[at + 7] as number;
    if ((a | b | c | d | e | f | g | h) >= 0x80) return undefined;
    text += String.fromCharCode(a, b, c, d, e, f, g, h);
  }
  if (at + 4 <= end) {
    const a = bytes[at] as number;
    const b = bytes[at + 1] as number;
    const c = bytes[at + 2] as number;
    const d = bytes[at + 3] as number;
    if ((a | b | c | d) >= 0x80) return undefined;
    text += String.fromCharCode(a, b, c, d);
    at += 4;
  }
  for (; at < end; at += 1) {
    const unit = bytes[at] as number;
    if (unit >= 0x80) return undefined;
    text += String.fromCharCode(unit);
  }
  return text;
}

function isHighSurrogate(unit: number): boolean {
  return (unit & 0xfc00) === 0xd800;
}

/** NaN, past the end of a string, is none. */
function isLowSurrogate(unit: number): boolean {
  return (unit & 0xfc00) === 0xdc00;
}
