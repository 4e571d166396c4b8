// Strings of a frame are short (names, keys, headers): up to a few dozen characters a loop beats every call into the
// runtime. Longer ones go to the runtime: Node's own methods, where there are any, cost a third of TextEncoder's.

const SHORT_STRING_CHARS = 48;

interface NodeUtf8 {
  utf8Slice(this: Uint8Array, start: number, end: number): string;
  utf8Write(this: Uint8Array, text: string, at: number, length: number): number;
}

const node: NodeUtf8 | undefined =
  typeof Buffer === "function" ? (Buffer.prototype as unknown as NodeUtf8) : undefined;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Bytes that `text` takes in UTF-8; a lone surrogate counts as U+FFFD, as it is written. */
export function utf8ByteLength(text: string): number {
  const length = text.length;
  if (node !== undefined && length > SHORT_STRING_CHARS) return Buffer.byteLength(text, "utf8");
  let bytes = length;
  for (let i = 0; i < length; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    if (unit < 0x800) {
      bytes += 1;
    } else {
      bytes += 2;
      if (unit >= 0xd800 && unit < 0xdc00 && i + 1 < length && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00)
        i += 1;
    }
  }
  return bytes;
}

/** Writes `text` at `at` and returns its length in bytes. The caller has made sure that it fits. */
export function writeUtf8(bytes: Uint8Array, at: number, text: string): number {
  const length = text.length;
  if (length <= SHORT_STRING_CHARS) {
    let i = 0;
    for (; i < length; i += 1) {
      const unit = text.charCodeAt(i);
      if (unit >= 0x80) break;
      bytes[at + i] = unit;
    }
    if (i === length) return length;
  }
  if (node !== undefined) return node.utf8Write.call(bytes, text, at, bytes.length - at);
  return encoder.encodeInto(text, bytes.subarray(at)).written;
}

/** The string in [start, end); bytes that are not UTF-8 become U+FFFD. */
export function readUtf8(bytes: Uint8Array, start: number, end: number): string {
  const length = end - start;
  if (length <= 16) {
    let text = "";
    let i = start;
    for (; i < end; i += 1) {
      const unit = bytes[i] as number;
      if (unit >= 0x80) break;
      text += String.fromCharCode(unit);
    }
    if (i === end) return text;
  }
  if (node !== undefined) return node.utf8Slice.call(bytes, start, end);
  return decoder.decode(bytes.subarray(start, end));
}
