import t from "tap";
import { ManyToOneRingBuffer, OneToOneRingBuffer } from "../../src/index.ts";
import {
  MANY_DATA_START,
  MANY_HEAD_CACHE_WORD,
  MANY_HEAD_WORD,
  MANY_TAIL_WORD,
  MANY_TO_ONE_GEOMETRY,
} from "../../src/ring/many-to-one-layout.ts";
import { DATA_START, HEAD_WORD, ONE_TO_ONE_GEOMETRY, TAIL_WORD } from "../../src/ring/ring-layout.ts";
import { CAPACITY_WORD, KIND_WORD, LINE_BYTES, MAGIC_WORD, VERSION_WORD } from "../../src/shared-header.ts";

const KINDS = [
  {
    name: "one-to-one ring",
    Ring: OneToOneRingBuffer,
    Other: ManyToOneRingBuffer,
    other: "many-to-one ring",
    geometry: ONE_TO_ONE_GEOMETRY,
    lines: [MAGIC_WORD * 4, TAIL_WORD * 4, HEAD_WORD * 4, DATA_START],
    /** A tail beyond the capacity of 1024 bytes, and one between records. */
    farTail: 2048,
    crookedTail: 12,
  },
  {
    name: "many-to-one ring",
    Ring: ManyToOneRingBuffer,
    Other: OneToOneRingBuffer,
    other: "one-to-one ring",
    geometry: MANY_TO_ONE_GEOMETRY,
    lines: [
      MAGIC_WORD * 4,
      MANY_TAIL_WORD * 4,
      MANY_HEAD_CACHE_WORD * 4,
      MANY_HEAD_WORD * 4,
      MANY_DATA_START,
    ],
    farTail: 256,
    crookedTail: undefined,
  },
] as const;

for (const { name, Ring, Other, other, geometry, lines, farTail, crookedTail } of KINDS) {
  const { overheadBytes, tailWord } = geometry;

  function spoilt(word: number, value: number): SharedArrayBuffer {
    const buffer = Ring.allocate(1024);
    new Int32Array(buffer)[word] = value;
    return buffer;
  }

  t.test(`${name}: allocate takes powers of two and aligned start positions`, async (t) => {
    t.equal(Ring.allocate(128).byteLength, 128 + overheadBytes);
    for (const capacity of [0, 64, 100, 1000, 128.5, -128, Number.NaN, 2 ** 31]) {
      t.throws(() => Ring.allocate(capacity), {
        name: "RangeError",
        message: new RegExp(`power of two.*: capacity=${capacity}$`),
      });
    }
    for (const position of [-8, 4, 0.5, Number.NaN, 2 ** 60]) {
      t.throws(() => Ring.allocate(128, position), { message: /startPosition=/ });
    }
  });

  t.test(`${name}: what different threads write is on lines of its own`, async (t) => {
    t.same(
      lines,
      lines.map((_, line) => line * LINE_BYTES),
    );
    t.ok(LINE_BYTES >= 128);
    const ring = Ring.attach(Ring.allocate(1024));
    t.equal(ring.bytes.byteOffset, lines.at(-1));
    t.equal(ring.words.byteOffset % LINE_BYTES, 0, "records are aligned as their indexes are");
    t.equal(ring.words.byteOffset + ring.words.byteLength, ring.buffer.byteLength - LINE_BYTES);
    t.equal(ring.tryClaim(1, 3) % 8, 0);
  });

  t.test(`${name}: attach refuses what is none`, async (t) => {
    const refuse = (buffer: unknown, type: string, message: RegExp): void => {
      t.throws(() => Ring.attach(buffer as SharedArrayBuffer), { name: type, message });
    };
    refuse(
      undefined,
      "TypeError",
      new RegExp(`^${name} needs a SharedArrayBuffer: got \\[object Undefined\\]`),
    );
    refuse(new ArrayBuffer(4096), "TypeError", /got \[object ArrayBuffer\]/);
    refuse(
      new SharedArrayBuffer(0),
      "RangeError",
      new RegExp(`too small for a ${name}: byteLength=0 minimum=16`),
    );
    refuse(
      new SharedArrayBuffer(1024 + overheadBytes),
      "TypeError",
      new RegExp(`not a ${name}: magic=0x0 expected=0x4d53524d`),
    );
    refuse(spoilt(VERSION_WORD, 9), "TypeError", /version=9 expected=1/);
    refuse(spoilt(KIND_WORD, 99), "TypeError", new RegExp(`not a ${name} but a stranger: kind=99`));
    refuse(Other.allocate(1024), "TypeError", new RegExp(`not a ${name} but a ${other}: kind=`));
    refuse(spoilt(CAPACITY_WORD, 1000), "RangeError", new RegExp(`damaged ${name}: capacity=1000`));
    refuse(spoilt(CAPACITY_WORD, -1024), "RangeError", /capacity=-1024/);
    refuse(
      spoilt(CAPACITY_WORD, 2048),
      "RangeError",
      new RegExp(
        `truncated or foreign ${name}: byteLength=${1024 + overheadBytes} expected=${2048 + overheadBytes}`,
      ),
    );
    refuse(spoilt(tailWord, -8), "RangeError", /head=0 tail=-8/);
    refuse(spoilt(tailWord, farTail), "RangeError", new RegExp(`head=0 tail=${farTail} capacity=1024`));
    if (crookedTail !== undefined) refuse(spoilt(tailWord, crookedTail), "RangeError", /tail=12/);
    const whole = new Uint8Array(Ring.allocate(1024));
    for (const length of [16, 20, overheadBytes + 128, whole.length - 1, whole.length + 1]) {
      const cut = new SharedArrayBuffer(length);
      new Uint8Array(cut).set(whole.subarray(0, length));
      refuse(cut, "RangeError", new RegExp(`byteLength=${length} expected=${1024 + overheadBytes}`));
    }
  });
}
