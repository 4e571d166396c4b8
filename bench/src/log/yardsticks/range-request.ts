/**
 * What the replayer asks the yardstick `file-server` for, behind the handshake, bytes that are not a WebSocket frame:
 *
 *     position u64 BE | bytes u64 BE
 */
export const RANGE_REQUEST_BYTES = 16;

export function rangeRequest(position: number, bytes: number): Buffer {
  const request = Buffer.alloc(RANGE_REQUEST_BYTES);
  request.writeBigUInt64BE(BigInt(position), 0);
  request.writeBigUInt64BE(BigInt(bytes), 8);
  return request;
}

export function readRangeRequest(request: Buffer): { position: number; bytes: number } {
  return { position: Number(request.readBigUInt64BE(0)), bytes: Number(request.readBigUInt64BE(8)) };
}
