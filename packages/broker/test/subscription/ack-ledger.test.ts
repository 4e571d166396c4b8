import t from "tap";
import { AckLedger } from "../../src/subscription/ack-ledger.ts";

const MILLIONS = 10_000_000;

t.test("offsets finished in order cost nothing, out of order a bit, over ten million", async (t) => {
  const ledger = new AckLedger(0);
  for (let offset = 0; offset < MILLIONS; offset += 1) ledger.finish(offset, 1);
  t.equal(ledger.floor, MILLIONS);
  t.equal(ledger.byteSize, 0);

  const stuck = MILLIONS;
  let most = 0;
  for (let offset = stuck + 1; offset < stuck + 1_048_576; offset += 2) ledger.finish(offset, 1);
  most = ledger.byteSize / ledger.finishedAbove;
  t.ok(most <= 1, `every other one finished: ${most.toFixed(2)} bytes each`);
  for (let offset = stuck + 2; offset < stuck + 1_048_576; offset += 2) ledger.finish(offset, 1);
  t.ok(ledger.byteSize / ledger.finishedAbove <= 0.02, "without holes pages are shared");
  t.ok(ledger.encode().length < 10_000);
  t.equal(ledger.finish(stuck, 1), 1);
  t.equal(ledger.floor, stuck + 1_048_576);
  t.ok(ledger.byteSize < 1000, "one page is kept for later");
});

t.test("a window of random order moves on in constant memory", async (t) => {
  const ledger = new AckLedger(0);
  const sizes: number[] = [];
  // 65,536 in flight, finished in a scattered but fixed order.
  for (let block = 0; block < 40; block += 1) {
    for (let index = 0; index < 65_536; index += 1)
      ledger.finish(block * 65_536 + ((index * 40_503) & 65_535), 1);
    sizes.push(ledger.byteSize);
  }
  t.equal(ledger.floor, 40 * 65_536);
  t.equal(new Set(sizes).size, 1, "the same after each block");
});

t.test("a range of any size is one step where nothing above it is finished", async (t) => {
  const ledger = new AckLedger(5);
  t.equal(ledger.finish(0, 2 ** 45), 2 ** 45 - 5);
  t.equal(ledger.floor, 2 ** 45);
  t.equal(ledger.finish(2 ** 45 + 1, 3), 3);
  t.equal(ledger.finish(2 ** 45 + 100_000, 1), 1);
  t.equal(ledger.finish(0, 2 ** 46), 2 ** 46 - 2 ** 45 - 4);
  t.equal(ledger.finishedAbove, 0);
});

t.test("bytes that are no ledger are refused", async (t) => {
  const ledger = new AckLedger(5);
  ledger.finish(10, 3);
  const bytes = ledger.encode();
  for (let length = 0; length < bytes.length; length += 1) {
    t.throws(() => AckLedger.decode(bytes.subarray(0, length)), RangeError);
  }
  t.throws(() => AckLedger.decode(new Uint8Array([...bytes, 0])), RangeError);
});
