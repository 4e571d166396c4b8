import { crc32 } from "node:zlib";
import t from "tap";
import {
  decodeSettledHeader,
  decodeSettledTrailer,
  encodeSettledHeader,
  encodeSettledTrailer,
  parseSettledFileName,
  settledFileName,
  settledSeed,
} from "../../src/settled/settled-layout.ts";

const NAME = { basePosition: 2 ** 45 + 8, epoch: 12, part: 345 };
const HEADER = { ...NAME, seed: -2, shardId: 9, endPosition: 2 ** 45 + 4096 };

/** Hexadecimal bytes with the CRC-32 of all of them behind. */
function withCrc(hex: string): string {
  const bytes = Buffer.from(hex.replaceAll(/\s/g, ""), "hex");
  const crc = Buffer.alloc(4);
  crc.writeUInt32LE(crc32(bytes));
  return Buffer.concat([bytes, crc]).toString("hex");
}

function decodesOnlyWhole(t: Tap, bytes: Uint8Array, decode: (bytes: Uint8Array) => unknown): void {
  for (let at = 0; at < bytes.length; at++) {
    const damaged = bytes.slice();
    damaged[at] = (damaged[at] as number) ^ 2;
    if (decode(damaged) !== undefined) t.fail(`a flipped bit at ${at} passed`);
    if (decode(bytes.slice(0, at)) !== undefined) t.fail(`the first ${at} bytes passed`);
  }
}

type Tap = { fail(message: string): unknown };

t.test("names", async (t) => {
  const name = "0035184372088840-00000012-0345.settled";
  t.equal(settledFileName(NAME), name);
  t.same(parseSettledFileName(name), NAME);
  for (const other of [`${name}.tmp`, `x${name}`, name.replace("settled", "log"), "0-0-0.settled"]) {
    t.equal(parseSettledFileName(other), undefined, other);
  }
});

t.test("headers", async (t) => {
  const bytes = encodeSettledHeader(HEADER);
  const golden = withCrc(`4d525345 54544c31  01000000 feffffff  09000000 0c000000  08000000 00200000
    00100000 00200000  59010000 00000000  00000000 00000000  00000000`);
  t.equal(Buffer.from(bytes).toString("hex"), golden);
  t.same(decodeSettledHeader(bytes), { ...HEADER, version: 1 });
  decodesOnlyWhole(t, bytes, decodeSettledHeader);
});

t.test("trailers", async (t) => {
  const trailer = { footerAt: 2 ** 33 + 64, footerLength: 192 };
  const bytes = encodeSettledTrailer(trailer);
  const golden = withCrc("4d525452 41494c31  40000000 02000000  c0000000 00000000  00000000");
  t.equal(Buffer.from(bytes).toString("hex"), golden);
  t.same(decodeSettledTrailer(bytes), trailer);
  decodesOnlyWhole(t, bytes, decodeSettledTrailer);
});

t.test("seeds", async (t) => {
  const words = Buffer.from("070000000800000000200000" + "0c00000059010000" + "54544c31", "hex");
  t.equal(settledSeed(7, NAME) >>> 0, crc32(words));
  const seeds = [
    settledSeed(8, NAME),
    settledSeed(7, NAME),
    settledSeed(7, { ...NAME, basePosition: 8 }),
    settledSeed(7, { ...NAME, epoch: 13 }),
    settledSeed(7, { ...NAME, part: 346 }),
  ];
  t.equal(new Set(seeds).size, seeds.length, "everything in a name counts");
});
