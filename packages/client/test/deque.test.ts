import t from "tap";
import { Deque } from "../src/deque.ts";
import { Seeded } from "./seeded.ts";

t.test("beside an array", async (t) => {
  const random = new Seeded(9);
  const deque = new Deque<number>();
  const model: number[] = [];
  for (let i = 0; i < 20_000; i += 1) {
    const what = random.below(100);
    if (what < (i < 10_000 ? 55 : 40)) {
      deque.push(i);
      model.push(i);
    } else if (what < 97) {
      if (deque.shift() !== model.shift()) t.fail("shift");
    } else if (model.length > 0) {
      const index = random.below(model.length);
      deque.removeAt(index);
      model.splice(index, 1);
    }
    const at = random.below(model.length + 2);
    if (deque.length !== model.length || deque.at(at) !== model[at]) t.fail(`step ${i}`);
  }
  deque.clear();
  t.equal(deque.length, 0);
  t.equal(deque.shift(), undefined);
  t.equal(deque.at(0), undefined);
});
