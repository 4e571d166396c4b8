import t from "tap";
import type { LocalShardWay } from "../../src/node/shard-way.ts";
import { GuestLedger } from "../../src/peer/guest-ledger.ts";

/** As a node's sockets do: the ledger's own waits keep no process alive. */
const alive = setInterval(() => {}, 1_000);
t.teardown(() => clearInterval(alive));

t.test("a shard is told once of each guest that left, and asked again when it did not answer", async (t) => {
  const told: string[] = [];
  const failures = [new Error("busy"), new Error("busy")];
  const ways = [{}, {}] as LocalShardWay[];
  let finish: (() => void) | undefined;
  const ledger = new GuestLedger({
    way: (shardId) => ways[shardId],
    epoch: () => 1,
    gatewayGone: async (shardId, gateway) => {
      told.push(`${shardId} ${gateway}`);
      const failure = shardId === 1 ? failures.pop() : undefined;
      if (failure !== undefined) throw failure;
      if (shardId === 0) {
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
      }
    },
  });
  t.equal(ledger.forgotten(5, 0), undefined, "it was never there");
  ledger.used(5, 0, ways[0] as LocalShardWay);
  ledger.ended(5, 0);
  const forgotten = ledger.forgotten(5, 0);
  t.equal(ledger.forgotten(5, 0), forgotten, "one question for all who wait");
  t.equal(ledger.forgotten(6, 0), undefined, "others need not wait");
  finish?.();
  await forgotten;
  t.equal(ledger.forgotten(5, 0), undefined);
  t.same(told, ["0 5"]);

  ledger.used(5, 1, ways[1] as LocalShardWay);
  await ledger.forgotten(5, 1);
  t.same(told, ["0 5", "1 5", "1 5", "1 5"]);
});

t.test("what an opening of a shard knew ends with it", async (t) => {
  const ways = [{}] as LocalShardWay[];
  let told = 0;
  const ledger = new GuestLedger({
    way: (shardId) => ways[shardId],
    epoch: () => 1,
    gatewayGone: async () => {
      told += 1;
      throw new Error("the shard is going away");
    },
  });
  ledger.used(5, 0, ways[0] as LocalShardWay);
  const forgotten = ledger.forgotten(5, 0);
  ways[0] = {} as LocalShardWay;
  await forgotten;
  t.equal(told, 1);
  ledger.used(5, 0, ways[0]);
  ways[0] = {} as LocalShardWay;
  t.equal(ledger.forgotten(5, 0), undefined);
  // Late, and about an opening that is over: the next one's trace stays.
  ledger.used(5, 0, ways[0]);
  const late = ledger.forgotten(5, 0);
  t.ok(late);
  ledger.close();
  await late;
});
