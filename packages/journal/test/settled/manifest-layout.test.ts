import { crc32 } from "node:zlib";
import t from "tap";
import {
  decodeManifest,
  encodeManifest,
  type Manifest,
  manifestFileName,
  parseManifestFileName,
} from "../../src/settled/manifest-layout.ts";

const MANIFEST: Manifest = {
  version: 1,
  shardId: 3,
  epoch: 9,
  generation: 2 ** 32 + 1,
  settledPosition: 2 ** 40,
  files: [
    {
      basePosition: 2 ** 33,
      endPosition: 2 ** 34,
      epoch: 7,
      part: 2,
      sizeBytes: 0x1111,
      footerAt: 0x1000,
      entryBytes: 0xfc0,
      firstTime: 1_700_000_000_000,
      lastTime: 1_700_000_000_007,
      expiryTime: 1_700_000_000_003,
      firstTopicId: 1,
      lastTopicId: 0xffff_fffe,
      partitionCount: 4,
      adopted: true,
      records: 77,
    },
  ],
  partitions: [
    { topicId: 1, partition: 5, bytes: 2 ** 35 },
    { topicId: 0xffff_fffe, partition: 0, bytes: 8 },
  ],
};

const GOLDEN = `
  4d524d41 4e494631  01000000 03000000  09000000 01000000  01000000 01000000
  00000000 00010000  02000000 00000000
  00000000 02000000  00000000 04000000  07000000 02000000  11110000 00000000
  00100000 00000000  c00f0000 00000000  0068e5cf 8b010000  0768e5cf 8b010000
  0368e5cf 8b010000  01000000 feffffff  04000000 01000000  4d000000 00000000
  01000000 05000000  00000000 08000000
  feffffff 00000000  08000000 00000000`;

/** As it stands in a file: whoever writes it puts the checksum behind. */
function stored(manifest: Manifest): Uint8Array {
  const bytes = encodeManifest(manifest);
  const whole = new Uint8Array(bytes.length + 4);
  whole.set(bytes);
  new DataView(whole.buffer).setUint32(bytes.length, crc32(bytes), true);
  return whole;
}

t.test("names", async (t) => {
  t.equal(manifestFileName(9), "manifest-00000009");
  t.equal(parseManifestFileName("manifest-00000009"), 9);
  t.equal(parseManifestFileName("manifest-00000009.tmp"), undefined);
  t.equal(parseManifestFileName("manifest-9"), undefined);
});

t.test("bytes", async (t) => {
  t.equal(Buffer.from(encodeManifest(MANIFEST)).toString("hex"), GOLDEN.replaceAll(/\s/g, ""));
  t.same(decodeManifest(stored(MANIFEST)), MANIFEST);
  const empty = { ...MANIFEST, files: [], partitions: [] };
  t.same(decodeManifest(stored(empty)), empty);
});

t.test("what is not whole", async (t) => {
  const bytes = stored(MANIFEST);
  for (let at = 0; at < bytes.length; at++) {
    const damaged = bytes.slice();
    damaged[at] = (damaged[at] as number) ^ 16;
    if (decodeManifest(damaged) !== undefined) t.fail(`a flipped bit at ${at} passed`);
    if (decodeManifest(bytes.slice(0, at)) !== undefined) t.fail(`the first ${at} bytes passed`);
  }
  const counts = encodeManifest(MANIFEST);
  for (const word of [5, 10]) {
    const wrong = counts.slice();
    new DataView(wrong.buffer).setUint32(word * 4, 0x4000_0000, true);
    const whole = new Uint8Array(wrong.length + 4);
    whole.set(wrong);
    new DataView(whole.buffer).setUint32(wrong.length, crc32(wrong), true);
    t.equal(decodeManifest(whole), undefined, "more than there is");
  }
});
