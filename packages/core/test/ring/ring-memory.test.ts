import t from "tap";
import { OneToOneRingBuffer } from "../../src/index.ts";
import { DATA_START, HEAD_WORD, ONE_TO_ONE_GEOMETRY, TAIL_WORD } from "../../src/ring/ring-layout.ts";
import { CAPACITY_WORD, LINE_BYTES, MAGIC_WORD, VERSION_WORD } from "../../src/shared-header.ts";

const OVERHEAD_BYTES = ONE_TO_ONE_GEOMETRY.overheadBytes;

function spoilt(word: number, value: number): SharedArrayBuffer {
  const buffer = OneToOneRingBuffer.allocate(1024);
  new Int32Array(buffer)[word] = value;
  return buffer;
}

t.test("allocate takes powers of two and aligned start positions", async (t) => {
  t.equal(OneToOneRingBuffer.allocate(128).byteLength, 128 + OVERHEAD_BYTES);
  for (const capacity of [0, 64, 100, 1000, 128.5, -128, Number.NaN, 2 ** 31]) {
    t.throws(() => OneToOneRingBuffer.allocate(capacity), {
      name: "RangeError",
      message: new RegExp(`power of two.*: capacity=${capacity}$`),
    });
  }
  for (const position of [-8, 4, 0.5, Number.NaN, 2 ** 60]) {
    t.throws(() => OneToOneRingBuffer.allocate(128, position), { message: /startPosition=/ });
  }
});

t.test("head, tail and data are on lines of their own", async (t) => {
  const lines = [MAGIC_WORD * 4, TAIL_WORD * 4, HEAD_WORD * 4, DATA_START].map((at) => at / LINE_BYTES);
  t.same(lines, [0, 1, 2, 3]);
});

t.test("the constructor refuses what is no ring", async (t) => {
  const refuse = (buffer: unknown, message: RegExp): void => {
    t.throws(() => OneToOneRingBuffer.attach(buffer as SharedArrayBuffer), { message });
  };
  refuse(undefined, /needs a SharedArrayBuffer: got \[object Undefined\]/);
  refuse(new ArrayBuffer(4096), /got \[object ArrayBuffer\]/);
  refuse(new SharedArrayBuffer(0), /too small for a one-to-one ring: byteLength=0 minimum=16/);
  refuse(
    new SharedArrayBuffer(1024 + OVERHEAD_BYTES),
    /not a one-to-one ring: magic=0x0 expected=0x4d53524d/,
  );
  refuse(spoilt(VERSION_WORD, 9), /version=9 expected=1/);
  refuse(spoilt(CAPACITY_WORD, 1000), /capacity=1000/);
  refuse(
    spoilt(CAPACITY_WORD, 2048),
    /truncated or foreign one-to-one ring: byteLength=1536 expected=2560 capacity=2048/,
  );
  refuse(spoilt(TAIL_WORD, -8), /head=0 tail=-8/);
  refuse(spoilt(TAIL_WORD, 2048), /head=0 tail=2048 capacity=1024/);
  refuse(spoilt(TAIL_WORD, 12), /tail=12/);
  const whole = new Uint8Array(OneToOneRingBuffer.allocate(1024));
  for (const length of [OVERHEAD_BYTES + 128, whole.length - 1, whole.length + 1]) {
    const cut = new SharedArrayBuffer(length);
    new Uint8Array(cut).set(whole.subarray(0, length));
    refuse(cut, new RegExp(`byteLength=${length} expected=1536`));
  }
});
