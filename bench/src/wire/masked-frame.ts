/**
 * Client frames of RFC 6455, section 5.2: binary, final, masked.
 *
 *     0x82 | 0x80 + length (or 126, u16 or 127, u64) | mask, 4 bytes | payload XOR mask
 */
import { randomBytes } from "node:crypto";

const FINAL_BINARY = 0x82;
const FINAL_PONG = 0x8a;
const MASKED = 0x80;

/** Bytes in front of a payload of that length. */
export function maskedHeadBytes(payloadBytes: number): number {
  if (payloadBytes < 126) return 6;
  return payloadBytes < 65_536 ? 8 : 14;
}

/** Writes one frame at `at` and returns the index behind it. A fresh random mask per call. */
export function writeMaskedFrame(
  target: Buffer,
  at: number,
  payload: Uint8Array,
  opcode: number = FINAL_BINARY,
): number {
  const length = payload.length;
  target[at] = opcode;
  if (length < 126) {
    target[at + 1] = MASKED | length;
  } else if (length < 65_536) {
    target[at + 1] = MASKED | 126;
    target.writeUInt16BE(length, at + 2);
  } else {
    target[at + 1] = MASKED | 127;
    target.writeBigUInt64BE(BigInt(length), at + 2);
  }
  const mask = randomBytes(4);
  const start = at + maskedHeadBytes(length);
  mask.copy(target, start - 4);
  for (let index = 0; index < length; index++) {
    target[start + index] = (payload[index] as number) ^ (mask[index & 3] as number);
  }
  return start + length;
}

export function maskedFrame(payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(maskedHeadBytes(payload.length) + payload.length);
  writeMaskedFrame(frame, 0, payload);
  return frame;
}

/** The answer to a WebSocket ping (not Millrace's own PING frame). */
export function maskedPong(payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(maskedHeadBytes(payload.length) + payload.length);
  writeMaskedFrame(frame, 0, payload, FINAL_PONG);
  return frame;
}
