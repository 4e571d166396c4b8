import t from "tap";
import { shareTask } from "../../src/index.ts";
import { nullTask } from "../doubles/null-task.ts";

t.test("connections and rate are shared out", async (t) => {
  const shares = shareTask(nullTask({ connections: 10, recordsPerSecond: 1000 }), 4);
  t.same(
    shares.map(({ connections }) => connections),
    [2, 3, 2, 3],
  );
  t.same(
    shares.map(({ recordsPerSecond }) => recordsPerSecond),
    [200, 300, 200, 300],
  );
  const saturating = shareTask(nullTask({ connections: 2, recordsPerSecond: null }), 8);
  t.same(
    saturating.map(({ connections }) => connections),
    [1, 1],
    "no generator without a connection",
  );
  t.same(
    saturating.map(({ recordsPerSecond }) => recordsPerSecond),
    [null, null],
  );
});
