import t from "tap";
import { clusterConditions } from "../../src/cluster/cluster-conditions.ts";

const FINE = { hasMap: true, unowned: [], unreached: [], catalog: undefined, hasSupervisor: true };

t.test("a node says what it lacks", async (t) => {
  t.same(clusterConditions(FINE), []);
  t.same(clusterConditions({ ...FINE, hasMap: false, hasSupervisor: false, unowned: [0] }), [
    "no supervisor has said yet which node has which shard",
  ]);
  t.same(clusterConditions({ ...FINE, unowned: [1, 2], unreached: [3], hasSupervisor: false }), [
    "no node has shard 1, 2 open",
    "the way to shard 3 is interrupted",
    "there is no supervisor: no shard moves until one runs",
  ]);
  t.same(clusterConditions({ ...FINE, catalog: "the catalog is being loaded" }), [
    "the catalog is being loaded",
  ]);
});
