import t from "tap";
import {
  BROADCAST_ALIGNMENT,
  BROADCAST_DATA_START,
  BROADCAST_HEADER_BYTES,
  BROADCAST_TAIL_WORD,
  INTENT_WORD,
  LATEST_WORD,
} from "../../src/broadcast/broadcast-layout.ts";
import { BroadcastReceiver, BroadcastTransmitter, Doorbell } from "../../src/index.ts";
import { CORE_LIMITS } from "../../src/limits.ts";
import { CAPACITY_WORD, LINE_BYTES, VERSION_WORD } from "../../src/shared-header.ts";

const OVERHEAD_BYTES = BROADCAST_DATA_START + LINE_BYTES;

t.test("positions share a line, and nothing else lies on it", async (t) => {
  const lines = [INTENT_WORD, BROADCAST_TAIL_WORD, LATEST_WORD, LATEST_WORD + 1].map((word) =>
    Math.floor((word * 4) / LINE_BYTES),
  );
  t.same(lines, [1, 1, 1, 1]);
  t.equal(BROADCAST_DATA_START, 2 * LINE_BYTES);
  t.equal(BROADCAST_DATA_START % BROADCAST_ALIGNMENT, 0);
  t.ok(BROADCAST_HEADER_BYTES <= BROADCAST_ALIGNMENT, "padding always has room for its header");
});

t.test("allocate takes powers of two and aligned start positions", async (t) => {
  t.equal(BroadcastTransmitter.allocate(256).byteLength, 256 + OVERHEAD_BYTES);
  t.equal(BroadcastTransmitter.attach(BroadcastTransmitter.allocate(256)).maxMessageLength, 16);
  for (const capacity of [0, 128, 1000, 256.5, -256, Number.NaN, 2 * CORE_LIMITS.ringCapacityBytesMax]) {
    t.throws(() => BroadcastTransmitter.allocate(capacity), {
      name: "RangeError",
      message: new RegExp(`power of two.*: capacity=${capacity}$`),
    });
  }
  for (const position of [-16, 8, 0.5, Number.NaN, 2 ** 60]) {
    t.throws(() => BroadcastTransmitter.allocate(256, position), { message: /startPosition=/ });
  }
});

for (const side of [BroadcastTransmitter, BroadcastReceiver]) {
  t.test(`${side.name} refuses what is no broadcast`, async (t) => {
    const refuse = (buffer: unknown, name: string, message: RegExp): void => {
      t.throws(() => side.attach(buffer as SharedArrayBuffer), { name, message });
    };
    const spoilt = (word: number, value: number): SharedArrayBuffer => {
      const buffer = BroadcastTransmitter.allocate(1024);
      new Int32Array(buffer)[word] = value;
      return buffer;
    };
    refuse(undefined, "TypeError", /needs a SharedArrayBuffer: got \[object Undefined\]/);
    refuse(new SharedArrayBuffer(1024 + OVERHEAD_BYTES), "TypeError", /not a broadcast buffer: magic=0x0/);
    refuse(Doorbell.allocate(), "TypeError", /not a broadcast buffer but a doorbell/);
    refuse(spoilt(VERSION_WORD, 99), "TypeError", /version=99/);
    refuse(spoilt(CAPACITY_WORD, 1000), "RangeError", /capacity=1000/);
    refuse(spoilt(CAPACITY_WORD, 2048), "RangeError", /byteLength=1408 expected=2432 capacity=2048/);
  });
}

t.test("a transmitter refuses positions that no transmitter leaves behind", async (t) => {
  const spoilt = (word: number, value: number): SharedArrayBuffer => {
    const buffer = BroadcastTransmitter.allocate(1024, 2048);
    new Int32Array(buffer)[word] = value;
    return buffer;
  };
  for (const [word, value] of [
    [INTENT_WORD, 2032],
    [INTENT_WORD, 2048 + 272],
    [LATEST_WORD, 2064],
    [LATEST_WORD, 2048 - 272],
    [BROADCAST_TAIL_WORD, 4096],
  ] as const) {
    t.throws(() => BroadcastTransmitter.attach(spoilt(word, value)), {
      name: "RangeError",
      message: new RegExp(`damaged broadcast: intent=.*${value}.* capacity=1024|tail=${value}`),
    });
  }
});
