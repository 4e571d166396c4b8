import type { FrameTemplate } from "../raw/block-publisher.ts";

/** A command as it goes over the wire: an array of bulk strings. */
export function encodeCommand(parts: readonly (string | Uint8Array)[]): Buffer {
  const pieces: Buffer[] = [Buffer.from(`*${parts.length}\r\n`)];
  for (const part of parts) {
    const bytes = Buffer.from(part as string);
    pieces.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from("\r\n"));
  }
  return Buffer.concat(pieces);
}

/** A command whose last part is the value. */
export function commandTemplate(parts: readonly (string | Uint8Array)[], valueBytes: number): FrameTemplate {
  const frame = encodeCommand([...parts, Buffer.alloc(valueBytes, "x")]);
  return { frame, valueStart: frame.length - valueBytes - 2 };
}
