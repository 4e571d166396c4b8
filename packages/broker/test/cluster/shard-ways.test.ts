import t from "tap";
import type { ClusterMap, ClusterShardEntry } from "../../src/cluster/cluster-map.ts";
import { ShardWays } from "../../src/cluster/shard-ways.ts";
import type { GatewayHandler } from "../../src/node/gateway-handler.ts";
import type { GatewayLink } from "../../src/node/gateway-link.ts";
import type { ShardSlot } from "../../src/node/link-turn.ts";
import type { ShardWay } from "../../src/node/shard-way.ts";
import { forSeeds } from "../harness/seeded.ts";

const SELF = 0;

function way(): ShardWay {
  return {} as ShardWay;
}

/** One shard as seen from node 0. */
class Rig {
  readonly slot: ShardSlot = {
    shardId: 0,
    link: undefined,
    way: undefined,
    failed: undefined,
    dirty: false,
  };
  readonly heard: string[] = [];
  readonly deposed: number[] = [];
  readonly ways: ShardWays;
  #version = 0;

  constructor() {
    const handler: Partial<GatewayHandler> = {
      onShardUp: () => void this.heard.push("up"),
      onShardDown: () => void this.heard.push("down"),
      onShardFailed: (_shardId, reason) => void this.heard.push(`failed ${reason}`),
    };
    this.ways = new ShardWays({
      nodeId: SELF,
      slots: [this.slot],
      handler: () => handler as GatewayHandler,
      rejectShard: () => void this.heard.push("rejected"),
      onDeposed: (shardId) => void this.deposed.push(shardId),
      onChange: () => {},
    });
  }

  map(nodeId: number | null, epoch: number, failed?: string): void {
    this.#version += 1;
    const shard: ClusterShardEntry = {
      shardId: 0,
      nodeId,
      epoch,
      ...(failed === undefined ? {} : { failed }),
    };
    const map: ClusterMap = { version: this.#version, nodes: [], shards: [shard] };
    this.ways.follow(map);
  }

  /** What the gateway heard since. */
  take(): string[] {
    return this.heard.splice(0);
  }
}

t.test("a lane may come up before the map that names its node, or after it", async (t) => {
  for (const order of ["map", "lane"]) {
    const rig = new Rig();
    const there = way();
    if (order === "map") rig.map(1, 4);
    rig.ways.lane(1, 0, there);
    if (order === "lane") {
      t.equal(rig.slot.way, undefined, "nobody has said whose it is");
      rig.map(1, 4);
    }
    t.equal(rig.slot.way, there, order);
    t.same(rig.take(), ["up"]);
  }
});

t.test(
  "what is open here counts before any map says so, and a map that is older than it changes nothing",
  async (t) => {
    const rig = new Rig();
    rig.map(1, 4);
    rig.ways.lane(1, 0, way());
    t.same(rig.take(), ["up"]);
    const here = way();
    rig.ways.localUp(0, here, 5);
    t.equal(rig.slot.way, here);
    t.same(rig.take(), ["rejected", "down", "up"], "down first, and what the other was asked is void");
    rig.map(1, 4);
    t.equal(rig.slot.way, here);
    t.same(rig.take(), []);
    t.same(rig.deposed, []);
    t.equal(rig.ways.ownerOf(0), SELF);
  },
);

t.test("a later owner takes the shard away from this node", async (t) => {
  const rig = new Rig();
  rig.ways.localUp(0, way(), 5);
  rig.map(SELF, 5);
  rig.take();
  rig.map(1, 6);
  t.same(rig.deposed, [0]);
  t.equal(rig.slot.way, undefined);
  t.same(rig.take(), ["rejected", "down"]);
  const there = way();
  rig.ways.lane(1, 0, there);
  rig.ways.localDown(0);
  t.equal(rig.slot.way, there, "its closing changes nothing any more");
  t.same(rig.take(), ["up"]);
});

t.test("a shard that is being closed takes nothing, and the gateway hears of it at the end", async (t) => {
  const rig = new Rig();
  rig.ways.localUp(0, way(), 5);
  rig.take();
  rig.ways.localClosing(0);
  t.equal(rig.slot.way, undefined);
  rig.map(null, 5);
  t.same(rig.take(), [], "its last answers are on their way");
  rig.ways.localDown(0);
  t.same(rig.take(), ["rejected", "down"]);
  rig.map(1, 6);
  rig.ways.lane(1, 0, way());
  t.same(rig.take(), ["up"]);
});

t.test("what the node has written into its own rings is told whichever way the gateway goes", async (t) => {
  const rig = new Rig();
  rig.map(1, 4);
  rig.ways.lane(1, 0, way());
  rig.slot.dirty = true;
  rig.ways.lane(1, 0, undefined);
  t.notOk(rig.slot.dirty, "a lane that is down takes nothing");
  const link = {} as GatewayLink;
  rig.slot.link = link;
  rig.slot.dirty = true;
  rig.ways.lane(1, 0, way());
  t.ok(rig.slot.dirty, "while it is prepared here");
  rig.ways.localUp(0, link, 5);
  t.equal(rig.slot.way, link);
  t.ok(rig.slot.dirty, "in the turn in which it is ready");
});

t.test("a lane that goes down and up is told as both, one of an earlier owner not at all", async (t) => {
  const rig = new Rig();
  rig.map(1, 4);
  rig.ways.lane(1, 0, way());
  rig.ways.lane(1, 0, undefined);
  rig.ways.lane(1, 0, way());
  t.same(rig.take(), ["up", "rejected", "down", "up"]);
  rig.map(2, 5);
  t.same(rig.take(), ["rejected", "down"]);
  rig.ways.lane(2, 0, way());
  rig.ways.lane(1, 0, undefined);
  t.same(rig.take(), ["up"]);
  t.same(rig.ways.unreached, []);
});

t.test("a journal that failed here stays failed until somebody has opened it anew", async (t) => {
  const rig = new Rig();
  rig.ways.localUp(0, way(), 5);
  rig.map(SELF, 5);
  rig.take();
  rig.ways.localFailed(0, "EIO");
  t.same(rig.take(), ["rejected", "failed EIO"]);
  rig.map(SELF, 5);
  t.equal(rig.slot.failed, "EIO", "a map from before it was known");
  rig.map(null, 5, "EIO");
  rig.map(null, 5, "EIO, still");
  t.same(rig.take(), [], "once");
  rig.map(1, 6);
  t.equal(rig.slot.failed, undefined);
  rig.ways.lane(1, 0, way());
  t.same(rig.take(), ["up"]);
});

t.test("a shard that failed elsewhere is failed here", async (t) => {
  const rig = new Rig();
  rig.map(1, 4);
  rig.ways.lane(1, 0, way());
  rig.take();
  rig.map(null, 4, "EIO");
  t.same(rig.take(), ["rejected", "failed EIO"]);
  t.same(rig.ways.unowned, []);
});

t.test(
  "whatever happens in whatever order, up and down alternate and the way is one that may be used",
  async (t) => {
    forSeeds(300, (random) => {
      const rig = new Rig();
      const lanes = new Map<number, ShardWay>();
      let isUp = false;
      let epoch = 1;
      let owner: number | null = null;
      let ownerEpoch = 0;
      let here: ShardWay | undefined;
      let localEpoch = 0;
      let failed = false;
      for (let step = 0; step < 40; step += 1) {
        const pick = random.below(7);
        const nodeId = 1 + random.below(2);
        if (pick === 0) {
          epoch += 1;
          owner = random.below(3);
          ownerEpoch = epoch;
          rig.map(owner, ownerEpoch);
        } else if (pick === 1) {
          owner = null;
          ownerEpoch = epoch;
          rig.map(null, epoch);
        } else if (pick === 2) {
          epoch += 1;
          localEpoch = epoch;
          here = way();
          failed = false;
          rig.ways.localUp(0, here, localEpoch);
        } else if (pick === 3) {
          here = undefined;
          rig.ways.localDown(0);
        } else if (pick === 4) {
          // The lane that came up last counts.
          lanes.clear();
          lanes.set(nodeId, way());
          rig.ways.lane(nodeId, 0, lanes.get(nodeId));
        } else if (pick === 5) {
          lanes.delete(nodeId);
          rig.ways.lane(nodeId, 0, undefined);
        } else if (here !== undefined && random.oneIn(3)) {
          here = undefined;
          failed = true;
          rig.ways.localFailed(0, "EIO");
        }
        if (failed && ownerEpoch > localEpoch) failed = false;
        for (const event of rig.take()) {
          if (event === "rejected") continue;
          if (event === "up" ? isUp : event === "down" && !isUp)
            throw new Error(`step ${step}: ${event} twice`);
          isUp = event === "up";
        }
        const isOwn = here !== undefined && (owner === SELF || localEpoch >= ownerEpoch);
        const expected = failed ? undefined : isOwn ? here : lanes.get(owner ?? -1);
        if (rig.slot.way !== expected) throw new Error(`step ${step}: another way than expected`);
        if (isUp !== (expected !== undefined)) throw new Error(`step ${step}: the gateway thinks up=${isUp}`);
      }
    });
    t.pass();
  },
);

t.test("a shard that is tried in vain has no owner, and is not waited for", async (t) => {
  const rig = new Rig();
  t.same(rig.ways.awaited, [0]);
  rig.ways.follow({
    version: 1,
    nodes: [],
    shards: [{ shardId: 0, nodeId: null, epoch: 3, isRetried: true }],
  });
  t.same([rig.ways.unowned, rig.ways.awaited], [[0], []]);
  rig.map(null, 3);
  t.same(rig.ways.awaited, [0]);
});
