import t from "tap";
import type { ClusterMap, ClusterNodeEntry } from "../../src/cluster/cluster-map.ts";
import { type LinkEvents, NodeLinks } from "../../src/cluster/node-links.ts";
import type { ShardWay } from "../../src/node/shard-way.ts";

interface FakeLink {
  readonly nodeId: number;
  readonly run: number;
  readonly events: LinkEvents;
}

/** The links of node 0; everything that happens to them is written down. */
function rig() {
  const happened: string[] = [];
  const made: FakeLink[] = [];
  const links = new NodeLinks({
    nodeId: 0,
    connect: ({ nodeId, run }, events) => {
      const name = `${nodeId}/${run}`;
      happened.push(`connect ${name}`);
      made.push({ nodeId, run, events });
      return {
        open: (shardId, epoch) => void happened.push(`${name} open ${shardId} ${epoch}`),
        drop: (shardId) => void happened.push(`${name} drop ${shardId}`),
        call: async (method) => `${name} ${method}`,
        status: () => {
          throw new Error("not asked for here");
        },
        close: async () => void happened.push(`close ${name}`),
      };
    },
    onLane: (nodeId, shardId, way) =>
      void happened.push(`lane ${nodeId} ${shardId} ${way === undefined ? "down" : "up"}`),
    onPush: (nodeId, event) => void happened.push(`push ${nodeId} ${event}`),
    onUp: (nodeId) => void happened.push(`up ${nodeId}`),
    onDown: (nodeId) => void happened.push(`down ${nodeId}`),
  });
  return { links, made, take: () => happened.splice(0) };
}

function node(nodeId: number, run = 1, state: ClusterNodeEntry["state"] = "up"): ClusterNodeEntry {
  return { nodeId, run, pid: 1, peer: { path: `peer-${nodeId}.sock` }, url: "ws://a", state };
}

function map(
  nodes: readonly ClusterNodeEntry[],
  owners: readonly (readonly [number | null, number])[],
): ClusterMap {
  return {
    version: 1,
    nodes,
    shards: owners.map(([nodeId, epoch], shardId) => ({ shardId, nodeId, epoch })),
  };
}

const WAY = {} as ShardWay;

t.test("there is a link to each other node, and a lane for each shard that it has", async (t) => {
  const { links, take } = rig();
  links.follow(
    map(
      [node(0), node(1), node(2), node(3, 1, "down")],
      [
        [0, 5],
        [1, 6],
        [2, 7],
        [1, 8],
        [null, 9],
      ],
    ),
  );
  t.same(take(), ["connect 1/1", "1/1 open 1 6", "1/1 open 3 8", "connect 2/1", "2/1 open 2 7"]);
  links.follow(
    map(
      [node(0), node(1), node(2, 1, "draining")],
      [
        [0, 5],
        [1, 6],
        [2, 7],
        [1, 8],
        [null, 9],
      ],
    ),
  );
  t.same(take(), [], "nothing has changed for it");
  t.equal(await links.call(1, "status", []), "1/1 status");
  await t.rejects(links.call(3, "status", []), { code: "SHARD_RESTARTED" });
});

t.test("a shard that moves takes its lane along", async (t) => {
  const { links, made, take } = rig();
  links.follow(map([node(1), node(2)], [[1, 5]]));
  made[0]?.events.onLane(0, WAY);
  take();
  links.follow(map([node(1), node(2)], [[2, 6]]));
  t.same(take(), ["1/1 drop 0", "lane 1 0 down", "2/1 open 0 6"]);
  made[0]?.events.onLane(0, WAY);
  t.same(take(), [], "it came up while it was being dropped");
  made[1]?.events.onLane(0, WAY);
  t.same(take(), ["lane 2 0 up"]);
  links.follow(map([node(1), node(2)], [[2, 7]]));
  t.same(take(), ["2/1 drop 0", "lane 2 0 down", "2/1 open 0 7"], "the same owner has opened it anew");
});

t.test("a node says itself that it has opened a shard anew", async (t) => {
  const { links, take } = rig();
  links.follow(
    map(
      [node(1)],
      [
        [1, 5],
        [null, 0],
      ],
    ),
  );
  take();
  links.learn(1, [
    [0, 7],
    [1, 3],
  ]);
  t.same(take(), ["1/1 drop 0", "lane 1 0 down", "1/1 open 0 7"], "and not of what nobody has asked of it");
  t.equal(links.epochOf(1, 0), 7);
  links.follow(
    map(
      [node(1)],
      [
        [1, 6],
        [null, 0],
      ],
    ),
  );
  links.learn(1, [[0, 7]]);
  t.same(take(), [], "a map that does not know it yet changes nothing");
  links.follow(
    map(
      [node(1)],
      [
        [1, 8],
        [null, 0],
      ],
    ),
  );
  t.equal(links.epochOf(1, 0), 8);
});

t.test("what a node has said of a shard counts when a map wants that of it later", async (t) => {
  const { links, take } = rig();
  links.follow(map([node(1)], [[null, 6]]));
  links.learn(1, [[0, 8]]);
  t.same(take(), ["connect 1/1"]);
  links.follow(map([node(1)], [[1, 7]]));
  t.same(take(), ["1/1 open 0 8"], "a map from before it was opened anew");
  t.equal(links.epochOf(1, 0), 8);
  links.follow(map([node(1)], [[1, 8]]));
  t.same(take(), []);
  links.follow(map([node(1, 2)], [[1, 7]]));
  t.same(take().at(-1), "1/2 open 0 7", "another run has said nothing yet");
});

t.test(
  "a node that was started again gets a link of its own, and the old one is not listened to",
  async (t) => {
    const { links, made, take } = rig();
    links.follow(map([node(1)], [[1, 5]]));
    const [old] = made as [FakeLink];
    old.events.onUp();
    old.events.onLane(0, WAY);
    t.ok(links.isUp(1));
    take();
    links.follow(map([node(1, 2)], [[1, 6]]));
    t.same(take(), ["lane 1 0 down", "down 1", "close 1/1", "connect 1/2", "1/2 open 0 6"]);
    old.events.onLane(0, undefined);
    old.events.onDown();
    old.events.onPush("catalog", []);
    t.same(take(), []);
    t.notOk(links.isUp(1));
    made[1]?.events.onPush("catalog", []);
    t.same(take(), ["push 1 catalog"]);
    await links.close();
    t.same(take(), ["lane 1 0 down", "close 1/2"]);
  },
);

t.test("a node that is down or gone has no link", async (t) => {
  for (const nodes of [[node(1, 1, "down")], []]) {
    const { links, take } = rig();
    links.follow(map([node(1)], [[1, 5]]));
    take();
    links.follow(map(nodes, [[1, 5]]));
    t.same(take(), ["lane 1 0 down", "close 1/1"]);
  }
});
