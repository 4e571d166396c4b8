import { alignRecord } from "@millrace/core/internal";
import t from "tap";
import { ParkedRecords } from "../../src/peer/parked-records.ts";
import { forSeeds } from "../harness/seeded.ts";

t.test("records leave in the order in which they came, as they were", async (t) => {
  forSeeds(50, (random) => {
    const parked = new ParkedRecords();
    const model: Buffer[] = [];
    for (let step = 0; step < 500; step += 1) {
      if (random.below(5) < 3) {
        const length = 8 + random.below(random.oneIn(10) ? 50_000 : 300);
        const index = 8 * random.below(4);
        const memory = Buffer.alloc(index + alignRecord(length), random.below(256));
        memory.writeInt32LE(length, index);
        parked.push(memory, index, length);
        model.push(Buffer.from(memory.subarray(index, index + length)));
        memory.fill(0xff);
      } else if (!parked.isEmpty) {
        const expected = model.shift() as Buffer;
        const { bytes, words, index } = parked;
        if (words[index >> 2] !== expected.length) throw new Error("another length");
        if (!bytes.subarray(index, index + expected.length).equals(expected)) throw new Error("other bytes");
        parked.shift();
      }
      const bytes = model.reduce((sum, record) => sum + alignRecord(record.length), 0);
      if (parked.byteLength !== bytes) throw new Error(`byteLength=${parked.byteLength} expected=${bytes}`);
      if (parked.isEmpty !== (model.length === 0)) throw new Error("isEmpty");
    }
    while (!parked.isEmpty) parked.shift();
    if (parked.bytes.length !== 0) throw new Error("memory is held without records");
  });
  t.pass();
});
