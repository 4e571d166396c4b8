import { stat } from "node:fs";
import t from "tap";
import type { NodeClient } from "../../src/supervisor/node-client.ts";
import { closeShard } from "../../src/supervisor/shard-orders.ts";
import { SYSTEM_CLOCK } from "../../src/system-clock.ts";

/** Nothing else runs in this process meanwhile. */
function pause(ms: number): void {
  const end = SYSTEM_CLOCK.monotonicMs() + ms;
  while (SYSTEM_CLOCK.monotonicMs() < end);
}

t.test("an answer that came while this process was stopped counts, though its time was over", async (t) => {
  // Comes as input does, in another phase of the event loop than timers.
  const answer = new Promise<object>((resolve) => stat(".", () => resolve({})));
  const client = { request: () => answer } as unknown as NodeClient;
  const closed = closeShard({ client }, 3, 1);
  pause(200);
  t.equal(await closed, "closed");
});

t.test("no answer is said to be none", async (t) => {
  const client = { request: () => new Promise(() => {}) } as unknown as NodeClient;
  t.equal(await closeShard({ client }, 3, 1), "no answer within 1 ms");
});
