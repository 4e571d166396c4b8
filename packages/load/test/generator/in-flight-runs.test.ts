import fc from "fast-check";
import t from "tap";
import { InFlightRuns } from "../../src/generator/in-flight-runs.ts";
import { LatencyRecorder } from "../../src/measure/latency.ts";

t.test("settles as a plain list does", async (t) => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ add: fc.integer({ min: 1, max: 50 }), sameTime: fc.boolean() }),
      fc.record({ settle: fc.integer({ min: 1, max: 200 }) }),
    ),
    { maxLength: 400 },
  );
  fc.assert(
    fc.property(steps, (script) => {
      const runs = new InFlightRuns();
      const latency = new LatencyRecorder(1);
      const model: number[] = [];
      let timeMs = 1;
      let timed = 0;
      for (const step of script) {
        if ("add" in step) {
          if (!step.sameTime) timeMs += 1;
          runs.add(timeMs, step.add);
          for (let i = 0; i < step.add; i++) model.push(timeMs);
        } else {
          const settled = runs.settle(step.settle, timeMs + 5, 10, 100, latency);
          const gone = model.splice(0, step.settle);
          if (gone.length !== settled) return false;
          timed += gone.filter((time) => time >= 10 && time < 100).length;
        }
        if (runs.records !== model.length || latency.count !== timed) return false;
      }
      return true;
    }),
  );
  t.pass("for all scripts");
});

t.test("times what was to be sent in the window", async (t) => {
  const runs = new InFlightRuns();
  const latency = new LatencyRecorder();
  runs.add(9, 1);
  runs.add(10, 2);
  runs.add(12, 1);
  t.equal(runs.settle(9, 13, 10, 12, latency), 4, "no more than there were");
  t.match(latency.summary(), { count: 2, p50: 3.001 });
});
