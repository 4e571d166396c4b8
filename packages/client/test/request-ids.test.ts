import t from "tap";
import { RequestTable } from "../src/connection/request-table.ts";
import { ManualClock } from "./manual-clock.ts";

const ID_MAX = 2 ** 23 - 1;

t.test("ids stay below those of the broker's consumers, and pass over what is kept", async (t) => {
  const requests = new RequestTable(new ManualClock(), 1000);
  const kept = new Set<number>([3]);
  requests.keep((id) => kept.has(id));
  requests.keep((id) => id === 5);
  t.same([requests.nextId(), requests.nextId(), requests.nextId(), requests.nextId()], [1, 2, 4, 6]);
  let last = 0;
  for (let id = requests.nextId(); id !== 1; id = requests.nextId()) {
    if (id <= last) throw new Error(`${id} after ${last}`);
    last = id;
  }
  t.equal(last, ID_MAX);
  kept.clear();
  t.same([requests.nextId(), requests.nextId()], [2, 3]);
});
