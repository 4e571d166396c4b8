import t from "tap";
import { GATEWAYS_MAX, GatewayIds, gatewayOf } from "../../src/link/gateway-ids.ts";

const LOCAL_MAX = 2 ** 24 - 1;
const nobody = (): boolean => false;

t.test("an id names its gateway, and is the same number in an Int32Array", async (t) => {
  for (const gateway of [0, 1, 64, GATEWAYS_MAX - 1]) {
    const ids = new GatewayIds(gateway, { start: LOCAL_MAX - 2 });
    for (const local of [LOCAL_MAX - 1, LOCAL_MAX, 1, 2]) {
      const id = ids.next(nobody);
      t.equal(id, gateway * 2 ** 24 + local);
      t.equal(gatewayOf(id), gateway);
      t.equal(Int32Array.of(id)[0], id);
    }
  }
});

t.test("ids that are in use are passed over, and one that is free again waits for its turn", async (t) => {
  const ids = new GatewayIds(3, { first: LOCAL_MAX - 3 });
  const base = 3 * 2 ** 24 + LOCAL_MAX;
  const live = new Set<number>();
  const next = (): number => ids.next((id) => live.has(id));
  const [first, second, third] = [next(), next(), next()];
  t.same([first, second, third], [base - 3, base - 2, base - 1]);
  live.add(second);
  t.equal(next(), base);
  t.equal(next(), first, "round, but never below the first");
  t.equal(next(), third);
  for (const id of [first, third, base]) live.add(id);
  t.throws(next, RangeError);
});

t.test("a gateway that starts again begins elsewhere", async (t) => {
  for (const first of [1, 2 ** 23]) {
    const begins = [0, 1, 12_345, 3_000_000_001, 2 ** 32 - 1].map((start) =>
      new GatewayIds(5, { first, start }).next(nobody),
    );
    t.equal(new Set(begins).size, begins.length);
    for (const id of begins) t.ok(gatewayOf(id) === 5 && id - 5 * 2 ** 24 >= first);
  }
});

t.test("numbers out of bounds are refused", async (t) => {
  for (const gateway of [-1, GATEWAYS_MAX, 1.5, Number.NaN])
    t.throws(() => new GatewayIds(gateway), RangeError);
  for (const first of [0, LOCAL_MAX + 1, 0.5]) t.throws(() => new GatewayIds(0, { first }), RangeError);
});
