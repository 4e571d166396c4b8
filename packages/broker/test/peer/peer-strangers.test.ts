import type { Socket } from "node:net";
import t from "tap";
import { LINK, LINK_VERSION } from "../../src/peer/link-layout.ts";
import type { PeerPath } from "../../src/peer/peer-address.ts";
import { PeerServer } from "../../src/peer/peer-server.ts";
import { CLUSTER, GUEST, GuestNode, OWNER, OwnerNode, RecordedLog, until } from "../harness/linked-nodes.ts";
import { RawPeer, record } from "../harness/raw-peer.ts";
import { forSeeds } from "../harness/seeded.ts";

t.test("who is no node of this cluster is refused, is told why, and the log says it", async (t) => {
  const owner = await OwnerNode.listen(t, {
    refuses: (nodeId) => (nodeId === 9 ? "it is not in the map" : undefined),
  });
  const cases: [Parameters<RawPeer["hello"]>[0], string][] = [
    [{ clusterId: "other" }, "another cluster"],
    [{ toNodeId: 3 }, "another node"],
    [{ nodeId: OWNER }, "own number"],
    [{ nodeId: 127 }, "nodeId is 0 to 126"],
    [{ nodeId: -1 }, "natural number"],
    [{ clusterId: 17 }, "clusterId must be a string"],
    [{ version: LINK_VERSION + 1 }, "another version"],
    [{ nodeId: 9 }, "not in the map"],
  ];
  for (const [fields, reason] of cases) {
    owner.log.lines.length = 0;
    const peer = new RawPeer(owner);
    peer.hello(fields);
    await until(() => peer.isClosed);
    t.notOk(peer.types.includes(LINK.WELCOME), reason);
    // One line a second: the others are counted.
    const logged = owner.log.lines.find(({ event }) => event === "peer-connection-refused");
    if (logged !== undefined) t.match(String(logged.fields.reason), reason);
  }
  t.ok(owner.log.lines.length <= 1);
  t.same(owner.server.status(), []);
});

t.test("a dialer that is refused says so once, and goes on trying", async (t) => {
  const owner = await OwnerNode.listen(t);
  const guest = GuestNode.dial(t, owner.server.address, { clusterId: "other" });
  await until(() => guest.log.has("peer-link-waits", "another cluster"));
  const wrong = GuestNode.dial(t, owner.server.address, { remoteNodeId: 7 });
  await until(() => wrong.log.has("peer-link-waits", "another node"));
  t.match(guest.link.status().lastError, /refused: this is another cluster/);
  t.equal(guest.log.lines.filter(({ event }) => event === "peer-link-waits").length, 1);
  await t.rejects(guest.link.call("any", []), { code: "SHARD_RESTARTED", retriable: true });
});

t.test("garbage closes its own connection and nothing else", async (t) => {
  const owner = await OwnerNode.listen(t);
  const guest = await GuestNode.joined(t, owner);
  for (const garbage of [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "\x16\x03\x01\x02\x00\x01\x00\x01",
    "\0".repeat(100),
  ]) {
    const peer = new RawPeer(owner);
    peer.socket.write(Buffer.from(garbage, "latin1"));
    await until(() => peer.isClosed);
  }
  t.ok(owner.log.has("peer-connection-refused"));
  for (let i = 0; i < 70; i += 1)
    new RawPeer(owner).socket.on("connect", function (this: Socket) {
      t.teardown(() => this.destroy());
    });
  guest.publish(0, 0, Buffer.alloc(10));
  await until(() => guest.acks.length === 1);
});

t.test("a guest that breaks the rules loses its link, whatever it says", async (t) => {
  const owner = await OwnerNode.listen(t);
  const batch = (session: number): Buffer => {
    const payload = Buffer.alloc(80 + 16);
    payload.writeInt32LE(session, 8);
    return record(1, payload);
  };
  const open = [LINK.LANE_OPEN, 1, 0, 1, 0] as const;
  const breaches: [string, (peer: RawPeer) => void][] = [
    ["a second hello", (peer) => peer.hello()],
    ["what only owners say", (peer) => peer.send(LINK.CREDIT, 1, 0, 1, 0)],
    ["a type that nobody knows", (peer) => peer.send(999, 0, 0)],
    ["a lane cut short", (peer) => peer.send(LINK.LANE)],
    ["lane 0 opened", (peer) => peer.send(LINK.LANE_OPEN, 0, 0, 1, 0)],
    [
      "two lanes to one shard",
      (peer) => {
        peer.send(...open);
        peer.send(LINK.LANE_OPEN, 2, 0, 1, 0);
      },
    ],
    [
      "a record of another gateway",
      (peer) => {
        peer.send(...open);
        peer.send(LINK.LANE, 1, 0);
        peer.socket.write(batch(3 * 2 ** 24 + 1));
      },
    ],
    [
      "a record in the wrong ring",
      (peer) => {
        peer.send(...open);
        peer.send(LINK.LANE, 1, 2);
        peer.socket.write(batch(GUEST * 2 ** 24 + 1));
      },
    ],
    [
      "a ring that there is not",
      (peer) => {
        peer.send(...open);
        peer.send(LINK.LANE, 1, 7);
        peer.socket.write(batch(GUEST * 2 ** 24 + 1));
      },
    ],
    [
      "an outbound record",
      (peer) => {
        peer.send(...open);
        peer.send(LINK.LANE, 1, 0);
        peer.send(3, ...Array<number>(20).fill(GUEST * 2 ** 24));
      },
    ],
    [
      "a batch without a header",
      (peer) => {
        peer.send(...open);
        peer.send(LINK.LANE, 1, 0);
        peer.send(1, 0, 0);
      },
    ],
    [
      "a batch that no ring takes",
      (peer) => {
        peer.send(...open);
        peer.send(LINK.LANE, 1, 0);
        const payload = Buffer.alloc(65_536);
        payload.writeInt32LE(GUEST * 2 ** 24 + 1, 8);
        peer.socket.write(record(1, payload));
      },
    ],
    [
      "a call that is no MessagePack",
      (peer) =>
        peer.socket.write(record(LINK.RPC, Buffer.from("\x01\0\0\0\x03\0\0\0\xc1\xc1\xc1", "latin1"))),
    ],
    ["a call cut short", (peer) => peer.send(LINK.RPC, 1, 100)],
  ];
  for (const [name, breach] of breaches) {
    const peer = new RawPeer(owner);
    peer.hello();
    await until(() => peer.types.includes(LINK.WELCOME));
    breach(peer);
    await until(() => peer.isClosed);
    t.pass(name);
  }
  await until(() => owner.server.status().length === 0);
  t.equal(owner.shards[0]?.heard.batches.length, 0);
  t.notOk(owner.log.has("peer-link-failed"), "none of it is a mistake of this side");
  await GuestNode.joined(t, owner);
});

t.test("records of a welcomed guest, changed at random, end its link at worst", async (t) => {
  const owner = await OwnerNode.listen(t);
  const seeds: number[] = [];
  forSeeds(25, (random) => {
    seeds.push(random.seed);
    const peer = new RawPeer(owner);
    peer.hello({ run: random.seed, attempt: random.below(100) });
    peer.send(LINK.LANE_OPEN, 1, 0, 1, 0);
    peer.send(LINK.LANE, 1, random.below(3));
    for (let i = 0; i < 30; i += 1) {
      const payload = Buffer.alloc(8 * random.below(30));
      for (let word = 0; word + 4 <= payload.length; word += 4) {
        payload.writeInt32LE(random.oneIn(2) ? GUEST * 2 ** 24 + random.below(9) : random.below(300), word);
      }
      const type = random.pick([1, 64, 65, 66, 67, 68, 69, 70, 3, 260, 261, 262, 266, random.below(300)]);
      peer.socket.write(record(type, payload));
    }
    peer.socket.end();
  });
  await until(() => owner.server.status().length === 0 && owner.log.lines.length > 0);
  const guest = await GuestNode.joined(t, owner);
  const batches = guest.acks.length;
  guest.publish(0, 1, Buffer.alloc(10));
  await until(() => guest.acks.length === batches + 1);
  t.notOk(owner.log.has("peer-link-failed"), `seeds ${seeds[0]}..`);
});

t.test("of two connections of a run the newer one counts; of two runs the one that came last", async (t) => {
  const owner = await OwnerNode.listen(t);
  const first = new RawPeer(owner);
  first.hello({ run: 5, attempt: 3 });
  await until(() => first.types.includes(LINK.WELCOME));
  const late = new RawPeer(owner);
  late.hello({ run: 5, attempt: 2 });
  await until(() => late.isClosed);
  t.ok(late.types.includes(LINK.REFUSED));
  t.notOk(first.isClosed);
  first.send(LINK.LANE_OPEN, 1, 0, 1, 0);
  await until(() => first.types.includes(LINK.LANE_UP));
  const newer = new RawPeer(owner);
  newer.hello({ run: 5, attempt: 4 });
  newer.send(LINK.LANE_OPEN, 1, 0, 1, 0);
  await until(() => first.isClosed && newer.types.includes(LINK.LANE_UP));
  t.same(owner.gone, [[0, GUEST]], "before its lane came up");
  const other = new RawPeer(owner);
  other.hello({ run: 6, attempt: 1 });
  await until(() => newer.isClosed && other.types.includes(LINK.WELCOME));
  t.match(owner.server.status(), [{ nodeId: GUEST, run: 6 }]);
  other.socket.destroy();
  await until(() => owner.server.status().length === 0);
});

t.test("a socket that a killed process left is replaced, one that is listened on is not", async (t) => {
  const owner = await OwnerNode.listen(t);
  const options = {
    address: owner.server.address,
    clusterId: CLUSTER,
    nodeId: OWNER,
    run: 1,
    rpc: new Map(),
    logger: new RecordedLog(),
    shards: { way: () => undefined, epoch: () => 0, gatewayGone: async () => {} },
  };
  await t.rejects(PeerServer.listen(options), { code: "EADDRINUSE" });
  const { path } = owner.server.address as PeerPath;
  const { renameSync } = await import("node:fs");
  renameSync(path, `${path}.kept`);
  await owner.server.close();
  renameSync(`${path}.kept`, path);
  const server = await PeerServer.listen(options);
  await server.close();
});
