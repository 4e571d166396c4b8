import t from "tap";
import { Abandonment } from "../../src/cluster/abandonment.ts";

t.test("a node that nobody has needed for a minute on end is abandoned", (t) => {
  let nowMs = 5;
  let isNeeded = false;
  let abandoned = 0;
  const abandonment = new Abandonment({
    isNeeded: () => isNeeded,
    onAbandoned: () => {
      abandoned += 1;
    },
    clock: { monotonicMs: () => nowMs },
  });
  const wait = (ms: number): void => {
    nowMs += ms;
    abandonment.look();
  };
  wait(0);
  wait(59_999);
  isNeeded = true;
  wait(1);
  isNeeded = false;
  wait(1);
  wait(59_999);
  t.equal(abandoned, 0);
  wait(1);
  wait(60_000);
  t.equal(abandoned, 1, "once");
  t.end();
});
