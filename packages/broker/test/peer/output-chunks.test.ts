import { RECORD_HEADER_BYTES } from "@millrace/core/internal";
import t from "tap";
import { BROKER_LIMITS } from "../../src/limits.ts";
import { OutputChunks } from "../../src/peer/output-chunks.ts";
import { RecordReader } from "../../src/peer/record-reader.ts";
import { forSeeds } from "../harness/seeded.ts";

/** Takes what it is given when it is told to, and looks at the bytes only then, as a kernel may. */
class SlowSocket {
  readonly waiting: { piece: Uint8Array; written: () => void }[] = [];
  writes = 0;
  corks = 0;

  write(piece: Uint8Array, written: () => void): boolean {
    this.waiting.push({ piece, written });
    this.writes += 1;
    return true;
  }

  cork(): void {
    this.corks += 1;
  }

  uncork(): void {
    this.corks -= 1;
  }

  /** @returns the bytes of the oldest write */
  take(): Buffer {
    const { piece, written } = this.waiting.shift() as { piece: Uint8Array; written: () => void };
    const bytes = Buffer.from(piece);
    written();
    return bytes;
  }
}

function write(output: OutputChunks, type: number, payload: number, fill: number): void {
  const index = output.claim(type, payload);
  const start = index + RECORD_HEADER_BYTES;
  output.bytes.fill(fill, start, start + payload);
  output.commit(index);
}

t.test("what was committed arrives as it was, whenever the socket takes it", async (t) => {
  forSeeds(15, (random) => {
    const socket = new SlowSocket();
    const output = new OutputChunks(() => {});
    const sent: [number, number, number][] = [];
    const got: [number, number, number][] = [];
    const reader = new RecordReader((type, _words, bytes, index, length) => {
      const fill = length > RECORD_HEADER_BYTES ? (bytes[index + RECORD_HEADER_BYTES] as number) : 0;
      const payload = bytes.subarray(index + RECORD_HEADER_BYTES, index + length);
      if (!payload.equals(Buffer.alloc(payload.length, fill)))
        throw new Error(`bytes of record ${got.length} were changed`);
      got.push([type, payload.length, fill]);
    }, BROKER_LIMITS.peerRecordBytesMax);
    for (let step = 0; step < 400; step += 1) {
      const choice = random.below(6);
      if (choice < 4) {
        const payload = random.oneIn(20) ? random.below(1_000_000) : random.below(30_000);
        const record: [number, number, number] = [
          1 + random.below(300),
          payload,
          payload && random.below(256),
        ];
        write(output, ...record);
        sent.push(record);
      } else if (choice === 4) output.flush(socket);
      else if (socket.waiting.length > 0) reader.push(socket.take());
    }
    output.flush(socket);
    while (socket.waiting.length > 0) reader.push(socket.take());
    if (output.queuedBytes !== 0 || output.isDirty) throw new Error(`left: ${output.queuedBytes}`);
    if (JSON.stringify(got) !== JSON.stringify(sent)) throw new Error("records differ");
    if (socket.corks !== 0) throw new Error("the socket was left corked");
  });
  t.pass();
});

t.test("one write a flush, of all lanes; none without anything new; padding is empty", async (t) => {
  const socket = new SlowSocket();
  const output = new OutputChunks(() => {});
  for (let i = 0; i < 100; i += 1) write(output, 1, 100, 7);
  output.flush(socket);
  output.flush(socket);
  t.equal(socket.writes, 1);
  const bytes = socket.take();
  t.equal(bytes.length, 100 * 112);
  t.ok([...bytes.subarray(108, 112)].every((byte) => byte === 0));
  write(output, 1, 4, 9);
  output.flush(socket);
  t.same([...socket.take().subarray(12)], [0, 0, 0, 0], "also where an older record stood");
});

t.test("claims are one at a time, and end with a close", async (t) => {
  const output = new OutputChunks(() => {});
  const index = output.claim(1, 8);
  t.throws(() => output.claim(1, 8), /another record is open/);
  t.throws(() => output.commit(index + 8), /no such claim/);
  output.close();
  output.commit(index);
  t.equal(output.queuedBytes, 0);
  for (let i = 0; i < 10; i += 1) output.commit(output.claim(1, 1_000_000));
  t.notOk(output.isDirty);
  t.equal(output.queuedBytes, 0);
});
