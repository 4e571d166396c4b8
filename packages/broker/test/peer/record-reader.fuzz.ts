import { alignRecord, RECORD_HEADER_BYTES } from "@millrace/core/internal";
import t from "tap";
import { BROKER_LIMITS } from "../../src/limits.ts";
import { PeerProtocolError } from "../../src/peer/link-layout.ts";
import { RecordReader } from "../../src/peer/record-reader.ts";
import { forSeeds, type Seeded } from "../harness/seeded.ts";

interface Sent {
  readonly type: number;
  readonly payload: Buffer;
}

function randomRecords(random: Seeded): Sent[] {
  return Array.from({ length: 1 + random.below(60) }, () => {
    const bytes = random.oneIn(12)
      ? random.below(600_000)
      : random.oneIn(3)
        ? random.below(20_000)
        : random.below(64);
    return { type: 1 + random.below(400), payload: Buffer.alloc(bytes, 1 + random.below(255)) };
  });
}

function streamOf(records: readonly Sent[]): Buffer {
  const pieces = records.map(({ type, payload }) => {
    const piece = Buffer.alloc(alignRecord(RECORD_HEADER_BYTES + payload.length));
    piece.writeInt32LE(RECORD_HEADER_BYTES + payload.length, 0);
    piece.writeInt32LE(type, 4);
    payload.copy(piece, RECORD_HEADER_BYTES);
    return piece;
  });
  return Buffer.concat(pieces);
}

/** Collects copies, and checks that words and bytes are the same memory, aligned. */
function collector(taken: Sent[], lengthMax: number = BROKER_LIMITS.peerRecordBytesMax): RecordReader {
  return new RecordReader((type, words, bytes, index, length) => {
    if (index % 8 !== 0) throw new Error(`a header is not aligned: index=${index}`);
    if (words[index >> 2] !== length || bytes.readInt32LE(index + 4) !== type) {
      throw new Error("words and bytes differ");
    }
    taken.push({ type, payload: Buffer.from(bytes.subarray(index + RECORD_HEADER_BYTES, index + length)) });
  }, lengthMax);
}

/** Puts a piece of the stream where a socket would, at any alignment. */
function feed(random: Seeded, reader: RecordReader, piece: Buffer, inPlace: boolean): void {
  if (inPlace) {
    const offset = random.oneIn(2) ? 0 : random.below(16);
    const memory = Buffer.allocUnsafeSlow(piece.length + offset).subarray(offset);
    piece.copy(memory);
    reader.push(memory);
    memory.fill(0xee);
    return;
  }
  for (let from = 0; from < piece.length; ) {
    const room = reader.room();
    if (room.length === 0) throw new Error("no room");
    const count = Math.min(room.length, piece.length - from);
    piece.copy(room, 0, from, from + count);
    reader.received(count);
    from += count;
  }
}

t.test("records come out as they went in, however the stream is cut", async (t) => {
  forSeeds(60, (random) => {
    const records = randomRecords(random);
    const stream = streamOf(records);
    const inPlace = random.oneIn(2);
    const pieceMax = random.pick([1, 7, 8, 24, 1_000, 65_536, 200_000, 1_000_000]);
    if (stream.length / pieceMax > 200_000) return;
    const taken: Sent[] = [];
    const reader = collector(taken);
    for (let from = 0; from < stream.length; ) {
      const count = Math.min(stream.length - from, 1 + random.below(pieceMax));
      feed(random, reader, stream.subarray(from, from + count), inPlace);
      from += count;
    }
    if (taken.length !== records.length) throw new Error(`taken=${taken.length} sent=${records.length}`);
    for (const [i, { type, payload }] of records.entries()) {
      const got = taken[i] as Sent;
      if (got.type !== type || !got.payload.equals(payload)) throw new Error(`record ${i} differs`);
    }
  });
  t.pass();
});

t.test(
  "a record of the greatest length passes byte-wise at both ends, and a longer one is refused",
  async (t) => {
    const max = BROKER_LIMITS.peerRecordBytesMax;
    for (const inPlace of [true, false]) {
      const taken: Sent[] = [];
      const reader = collector(taken);
      const random = { below: () => 0, oneIn: () => true } as unknown as Seeded;
      const stream = streamOf([
        { type: 1, payload: Buffer.alloc(max - RECORD_HEADER_BYTES, 7) },
        { type: 2, payload: Buffer.from("behind") },
      ]);
      const cuts = [1, 2, 3, 4, 5, 6, 7, 8, 9, 65_536, max - 1, max, max + 1, max + 9, stream.length];
      let from = 0;
      for (const cut of cuts) {
        feed(random, reader, stream.subarray(from, cut), inPlace);
        from = cut;
      }
      t.same(
        taken.map(({ type, payload }) => [type, payload.length]),
        [
          [1, max - RECORD_HEADER_BYTES],
          [2, 6],
        ],
      );
      t.equal(taken[1]?.payload.toString(), "behind");
      const long = Buffer.alloc(8);
      long.writeInt32LE(max + 1, 0);
      long.writeInt32LE(1, 4);
      t.throws(() => feed(random, reader, long, inPlace), PeerProtocolError);
    }
  },
);

t.test("garbage is refused, and nothing behind a stop is taken", async (t) => {
  const refused = [
    "GET / HTTP/1.1\r\n",
    "\0\0\0\0\0\0\0\0",
    "\xff\xff\xff\xff\x01\0\0\0",
    "\x10\0\0\0\xff\xff\xff\xff",
  ];
  for (const garbage of refused) {
    t.throws(() => collector([]).push(Buffer.from(garbage, "latin1")), PeerProtocolError, garbage);
  }
  let taken = 0;
  const reader: RecordReader = new RecordReader(() => {
    taken += 1;
    reader.stop();
  }, 100);
  const stream = streamOf([1, 2, 3].map((type) => ({ type, payload: Buffer.alloc(3) })));
  reader.push(stream);
  reader.push(stream);
  t.equal(taken, 1);
  t.ok(reader.room().length > 0);
});
