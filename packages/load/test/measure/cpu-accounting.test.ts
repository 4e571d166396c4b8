import t from "tap";
import {
  busyThreadsBetween,
  cpuBetween,
  ownThreadSeconds,
  plainProcess,
  snapshotCpu,
} from "../../src/measure/cpu-accounting.ts";
import { monotonicMs } from "../../src/measure/system-clock.ts";

t.test("a busy thread is seen", { skip: process.platform !== "linux" }, async (t) => {
  const own = [plainProcess("generator", { pid: process.pid, label: "test" })];
  const before = snapshotCpu(own);
  const secondsBefore = ownThreadSeconds() as number;
  for (const endMs = monotonicMs() + 200; monotonicMs() < endMs; );
  const after = snapshotCpu(own);
  const main = cpuBetween(before, after).find(({ thread }) => thread === "main");
  t.ok(main !== undefined && main.seconds > 0.01, "CPU");
  t.ok((ownThreadSeconds() as number) - secondsBefore > 0.01, "as the thread itself says");
  // Whether it ran or waited for a core: it wanted to run all the time.
  t.ok(busyThreadsBetween(before, after) > 0.8, `${busyThreadsBetween(before, after)} busy threads`);
});
