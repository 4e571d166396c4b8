import { segmentSeed } from "../segment/segment-layout.ts";

const BYTE_TABLE = new Int32Array(256);
const INVERSE = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  BYTE_TABLE[byte] = crc;
  INVERSE[crc >>> 24] = byte;
}

/**
 * The journal's id, from what the header of one of its segments says. The seed there is the CRC-32 of id, base position and
 * epoch, and a CRC can be run backwards: to each seed there is exactly one id.
 */
export function journalIdOf(seed: number, basePosition: number, epoch: number): number {
  const known = Buffer.alloc(12);
  known.writeBigUInt64LE(BigInt(basePosition));
  known.writeUInt32LE(epoch >>> 0, 8);
  let state = ~seed;
  for (let at = known.length - 1; at >= 0; at--) state = stepBack(state, known[at] as number);
  for (let byte = 0; byte < 4; byte++) state = stepBack(state, 0);
  const journalId = ~state;
  if (segmentSeed(journalId, basePosition, epoch) !== (seed | 0)) {
    throw new Error(`the seed of a segment does not follow from any id: seed=${seed} base=${basePosition}`);
  }
  return journalId;
}

/** The state of a CRC before it took in a byte. */
function stepBack(state: number, byte: number): number {
  const index = INVERSE[state >>> 24] as number;
  return ((state ^ (BYTE_TABLE[index] as number)) << 8) | (index ^ byte);
}
