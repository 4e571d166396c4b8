import t from "tap";
import { BROKER_LIMITS } from "../../src/limits.ts";
import { LiveWrites } from "../../src/reader/live-writes.ts";

t.test("the disk is busy for a while after a write of any shard", async (t) => {
  let nowMs = 1_000_000_000_000;
  const clock = { wallMs: () => nowMs, monotonicMs: () => 0 };
  const buffer = LiveWrites.allocate();
  const shard = new LiveWrites(buffer, clock);
  const reader = new LiveWrites(buffer, clock);
  t.notOk(reader.isBusy);
  for (let i = 0; i < 50; i++) {
    // Also where the low bits of the clock wrap around.
    nowMs += 123_456_789;
    t.notOk(reader.isBusy);
    shard.note();
    t.ok(reader.isBusy);
    nowMs += BROKER_LIMITS.liveWritesMs - 1;
    t.ok(reader.isBusy);
    nowMs += 1;
    t.notOk(reader.isBusy);
  }
  shard.note();
  nowMs -= 60_000;
  t.notOk(reader.isBusy, "a clock that stepped back does not keep it busy");
});
