import t from "tap";
import { BROKER_LIMITS } from "../../src/limits.ts";
import { BackPressure } from "../../src/shard/back-pressure.ts";

const SEGMENT = 1_048_576;

/** Bytes of batches of `batchBytes` that are taken in a second, at most 4 GiB. */
function takenInSecond(pressure: BackPressure, segments: number, batchBytes: number): number {
  let taken = 0;
  pressure.update(1_000_000, segments * SEGMENT);
  for (let ms = 1; ms <= 1000; ms += 1) {
    pressure.update(1_000_000 + ms, segments * SEGMENT);
    while (pressure.admits && taken < 2 ** 32) {
      pressure.took(batchBytes);
      taken += batchBytes;
    }
  }
  return taken;
}

t.test("batches are taken more slowly the more waits to be settled", async (t) => {
  const rates = [15, 16, 20, 24, 28, 31, 31.99].map((segments) =>
    takenInSecond(new BackPressure(SEGMENT), segments, 16_384),
  );
  t.equal(rates[0], 2 ** 32, "as they come");
  const paced = rates.slice(1);
  t.same(
    paced,
    paced.toSorted((left, right) => right - left),
  );
  const full = BROKER_LIMITS.pacedBytesPerMsMax * 1000;
  t.ok(Math.abs((paced[0] as number) - full) < full / 20);
  t.ok(Math.abs((paced[2] as number) - full / 2) < full / 20, "in proportion");
  t.ok((paced[5] as number) >= BROKER_LIMITS.pacedBytesPerMsMin * 1000, "never stops");
});

t.test("a batch larger than what is allowed is waited for, not refused", async (t) => {
  const pressure = new BackPressure(SEGMENT);
  pressure.update(0, 31.9 * SEGMENT);
  t.equal(pressure.admits, false);
  t.ok(pressure.nextTimerMs >= 1 && pressure.nextTimerMs < 10, "the thread sleeps until then");
  pressure.update(10, 31.9 * SEGMENT);
  t.equal(pressure.admits, true);
  pressure.took(2 * 1024 * 1024);
  t.equal(pressure.admits, false);
  const waitMs = pressure.nextTimerMs;
  t.ok(waitMs > 100 && waitMs < 1000);
  pressure.update(10 + waitMs, 31.9 * SEGMENT);
  t.ok(pressure.nextTimerMs <= 1 || pressure.admits);
});

t.test("publishes are refused from 32 segments on, until fewer than 30 are left", async (t) => {
  const pressure = new BackPressure(SEGMENT);
  const refuses = [31.9, 32, 31, 30, 29.9, 31, 32].map((segments, at) => {
    pressure.update(at * 1000, segments * SEGMENT);
    return pressure.refuses;
  });
  t.same(refuses, [false, true, true, true, false, false, true]);
  t.equal(pressure.admits, true, "what is refused is not waited for");
});
