import { createHash, randomBytes } from "node:crypto";
import { INSUFFICIENT_CAPACITY } from "@millrace/core";
import { ERROR_CODES } from "@millrace/protocol";
import { crc32 } from "@millrace/protocol/internal";
import { Packr } from "msgpackr";
import t from "tap";
import { INBOUND } from "../../src/link/inbound-layout.ts";
import { SHARD_DOWN } from "../../src/node/gateway-port.ts";
import type { FakeShard } from "../harness/fake-shard.ts";
import { GUEST, GuestNode, guestId, handlerOf, OwnerNode, until } from "../harness/linked-nodes.ts";
import { forSeeds } from "../harness/seeded.ts";

t.test("batches arrive as they were written, in their order, and are acknowledged once", async (t) => {
  const owner = await OwnerNode.listen(t, { shardCount: 3, ringBytes: 4 * 1024 * 1024 });
  const guest = await GuestNode.joined(t, owner);
  const sent: number[][] = [[], [], []];
  const source = randomBytes(600_000);
  let published = 0;
  const publishAll = new Promise<void>((resolve) => {
    forSeeds(1, (random) => {
      const next = (): void => {
        for (let i = 0; i < 20; i += 1) {
          if (published === 1_000) {
            resolve();
            return;
          }
          const shardId = random.below(3);
          const bytes = random.oneIn(30) ? 300_000 + random.below(200_000) : 5 + random.below(20_000);
          const payload = source.subarray(0, bytes);
          const crcs = sent[shardId] as number[];
          if (guest.publish(shardId, crcs.length, payload, guestId(1 + shardId)) < 0) break;
          crcs.push(crc32(payload, 0, payload.length));
          published += 1;
        }
        setImmediate(next);
      };
      next();
    });
  });
  await publishAll;
  await until(() => guest.acks.length >= 1_000);
  for (const [shardId, shard] of owner.shards.entries()) {
    t.same(
      shard.heard.batches.map(({ crc }) => crc),
      sent[shardId],
    );
    t.same(
      guest.acks.filter(([session]) => session === guestId(1 + shardId)).map(([, sequence]) => sequence),
      (sent[shardId] as number[]).map((_, sequence) => sequence),
    );
  }
  const [status] = owner.server.status();
  t.match(status, { direction: "in", nodeId: GUEST, state: "up" });
  t.same(
    status?.lanes.map(({ state, parkedBytes }) => [state, parkedBytes]),
    Array(3).fill(["up", 0]),
  );
  t.match(guest.link.status(), { direction: "out", nodeId: 1, run: 11, state: "up", queuedBytes: 0 });
});

t.test(
  "the largest batch that a ring takes crosses the link, and a larger one is the writer's mistake",
  async (t) => {
    const owner = await OwnerNode.listen(t, { ringBytes: 16 * 1024 * 1024 });
    const guest = await GuestNode.joined(t, owner);
    const largest = randomBytes(2 * 1024 * 1024 - 8 - 80);
    for (let sequence = 0; sequence < 8; sequence += 1) {
      await until(() => guest.publish(0, sequence, largest) === 0);
    }
    await until(() => guest.acks.length === 8);
    t.ok(owner.shards[0]?.heard.batches.every(({ crc }) => crc === crc32(largest, 0, largest.length)));
    t.throws(() => guest.path.claimBatch(0, largest.length + 1), RangeError);
    t.equal(guest.publish(0, 8, largest), 0, "and nothing came of it");
  },
);

t.test("a full shard stops its own batches only, and goes on where it stood", async (t) => {
  const owner = await OwnerNode.listen(t, { shardCount: 2 });
  const guest = await GuestNode.joined(t, owner);
  const [full, other] = owner.shards as [FakeShard, FakeShard];
  full.stop();
  const payload = Buffer.alloc(4_000, 1);
  let sent = 0;
  while (guest.publish(0, sent, payload) === 0) sent += 1;
  t.ok(sent * 4_000 > 3_000_000, "a window's worth is out");
  t.equal(guest.publish(0, sent, payload), INSUFFICIENT_CAPACITY);
  await until(() => (owner.server.status()[0]?.lanes[0]?.parkedBytes ?? 0) > 2_000_000);
  t.equal(guest.path.read(0, guestId(9), guestId(8), 7, 0, 0, 100), 0, "reads have a ring of their own");
  for (let sequence = 0; sequence < 50; sequence += 1) {
    t.equal(guest.publish(1, sequence, payload, guestId(2)), 0);
  }
  await until(() => other.heard.batches.length === 50);
  t.equal(full.heard.batches.length, 0);
  t.notOk(guest.events.includes("space 0"));
  full.continue();
  await until(() => guest.events.includes("space 0"));
  await until(() => guest.acks.length === sent + 50);
  t.same(
    full.heard.batches.map(({ sequence }) => sequence),
    Array.from({ length: sent }, (_, sequence) => sequence),
  );
  t.equal(guest.publish(0, sent, payload), 0);
  await until(() => guest.acks.length === sent + 51);
  t.equal(owner.server.status()[0]?.lanes[0]?.parkedBytes, 0);
});

t.test("each of the three rings keeps its order while the shard stands still and goes on", async (t) => {
  const owner = await OwnerNode.listen(t, { ringBytes: 8_192 });
  const guest = await GuestNode.joined(t, owner);
  const shard = owner.shards[0] as FakeShard;
  const settled: number[] = [];
  const delivered: number[] = [];
  guest.handler = handlerOf({
    onSettled: (_shard, _consumer, settleId) => settled.push(settleId),
    onDeliver: (streamId) => delivered.push(streamId),
    onAck: (session, _topic, _partition, _producer, sequence) => guest.acks.push([session, sequence]),
  });
  const counts = { batch: 0, read: 0, settle: 0, request: 0 };
  const request = (): void => {
    guest.slots[0]?.way?.request(guestId(counts.request), Buffer.alloc(200, counts.request));
    counts.request += 1;
    (guest.slots[0] as { dirty: boolean }).dirty = true;
    guest.turn.schedule();
  };
  for (let round = 0; round < 40; round += 1) {
    if (round % 4 === 0) shard.stop();
    for (let i = 0; i < 30; i += 1) {
      if (guest.publish(0, counts.batch, Buffer.alloc(300)) === 0) counts.batch += 1;
      if (guest.path.read(0, guestId(counts.read), guestId(1), 7, 0, 0, 50) === 0) counts.read += 1;
      const reason = i % 3 === 0 ? Buffer.alloc(100, 65) : undefined;
      if (guest.path.settle(0, guestId(5), counts.settle, 1, 0, 1, 1, 0, 1, -1, reason) === 0)
        counts.settle += 1;
      if (i % 10 === 0) request();
    }
    if (round % 4 === 3) shard.continue();
    await new Promise((resolve) => setImmediate(resolve));
  }
  shard.continue();
  const upTo = (count: number, base = 0): number[] => Array.from({ length: count }, (_, i) => base + i);
  await until(() => guest.acks.length === counts.batch && guest.replies.size === counts.request);
  await until(() => settled.length === counts.settle && delivered.length === counts.read);
  t.same(
    shard.heard.batches.map(({ sequence }) => sequence),
    upTo(counts.batch),
  );
  t.same(shard.heard.requests, upTo(counts.request, guestId(0)));
  t.same(
    shard.heard.reads.map(({ streamId }) => streamId),
    upTo(counts.read, guestId(0)),
  );
  t.same(
    shard.heard.consumers.map(([, , settleId]) => settleId),
    upTo(counts.settle),
  );
  t.same(settled, upTo(counts.settle));
  t.same(delivered, upTo(counts.read, guestId(0)));
  t.ok(
    [...guest.replies].every(([id, payload]) => payload.every((byte) => byte === ((id - guestId(0)) & 0xff))),
  );
});

t.test("all records of a consumer, and the end of a tail", async (t) => {
  const owner = await OwnerNode.listen(t);
  const guest = await GuestNode.joined(t, owner);
  const shard = owner.shards[0] as FakeShard;
  t.equal(guest.path.lend(0, guestId(5), 3, 10, 1_000), 0);
  t.equal(guest.path.recall(0, guestId(5)), 0);
  t.equal(guest.path.detach(0, guestId(5)), 0);
  t.equal(guest.path.untail(0, 7, 13), 0);
  await until(() => shard.heard.consumers.length === 3 && shard.heard.untailed.length === 1);
  t.same(
    shard.heard.consumers.map(([type, consumerId]) => [type, consumerId]),
    [INBOUND.LEND, INBOUND.RECALL, INBOUND.DETACH].map((type) => [type, guestId(5)]),
  );
  t.same(shard.heard.untailed, [13]);
});

t.test(
  "a lost link takes the lanes down, the shards forget the guest, and then they come up again",
  async (t) => {
    const owner = await OwnerNode.listen(t, { shardCount: 2 });
    const guest = await GuestNode.joined(t, owner);
    t.equal(guest.publish(0, 0, Buffer.alloc(10)), 0);
    await until(() => guest.acks.length === 1);
    t.same(owner.gone, [], "nothing was left before");
    let forget: (() => void) | undefined;
    owner.forget = (shardId) =>
      shardId === 1
        ? new Promise<void>((resolve) => {
            forget = resolve;
          })
        : Promise.resolve();
    const way = guest.slots[0]?.way;
    guest.events.length = 0;
    owner.rpc.set("echo", (args) => args);
    await owner.server.close();
    await until(() => guest.events.length === 3);
    t.same(guest.events, ["down 0", "down 1", "link down"]);
    t.equal(guest.path.claimBatch(0, 10), SHARD_DOWN);
    t.equal(way?.claimBatch(10), SHARD_DOWN, "whoever kept the way hears it, too");
    way?.request(guestId(1), new Uint8Array(4));
    way?.flush();
    t.notOk(way?.takeSpace());
    const { PeerServer } = await import("../../src/peer/peer-server.ts");
    owner.server = await PeerServer.listen({
      address: owner.server.address,
      clusterId: "the-cluster",
      nodeId: 1,
      run: 12,
      rpc: owner.rpc,
      logger: owner.log,
      shards: {
        way: (shardId) => owner.shards[shardId]?.link,
        epoch: () => 1,
        gatewayGone: async (shardId, gateway) => {
          owner.gone.push([shardId, gateway]);
          await owner.forget(shardId);
        },
      },
    });
    t.teardown(() => owner.server.close());
    await guest.allUp();
    t.equal(guest.link.status().run, 12);
    // The same server, and another connection: now there is something to forget.
    await guest.link.close();
    await until(() => forget !== undefined);
    const second = GuestNode.dial(t, owner.server.address, { shardCount: 2 });
    for (const shardId of [0, 1]) second.link.open(shardId, 1);
    await until(() => second.slots[0]?.way !== undefined);
    t.same(
      owner.gone,
      [0, 1].map((shardId) => [shardId, GUEST]),
    );
    t.same(await second.link.call("echo", [1]), [1], "it is through");
    t.equal(second.slots[1]?.way, undefined, "not before the shard has forgotten");
    forget?.();
    await second.allUp();
  },
);

t.test("lanes follow their shards: not served, another epoch, a restart, another opening", async (t) => {
  const owner = await OwnerNode.listen(t, { shardCount: 2 });
  owner.notServed.add(1);
  owner.epochs.set(0, 5);
  const guest = GuestNode.dial(t, owner.server.address, { shardCount: 2 });
  guest.link.open(0, 4);
  guest.link.open(1, 1);
  await until(
    () => guest.log.has("peer-lane-down", "another epoch") && guest.log.has("peer-lane-down", "not served"),
  );
  t.ok(guest.slots.every(({ way }) => way === undefined));
  guest.link.open(0, 5);
  owner.notServed.delete(1);
  await guest.allUp();
  const before = guest.slots[0]?.way;
  guest.events.length = 0;
  owner.restart(0);
  await until(() => guest.events.length === 2);
  t.same(guest.events, ["down 0", "up 0"]);
  t.not(guest.slots[0]?.way, before);
  t.equal(before?.claimBatch(8), SHARD_DOWN);
  t.same(owner.gone, [], "fresh rings have nobody to forget");
  guest.link.drop(0);
  t.equal(guest.slots[0]?.way, undefined, "at once");
  guest.link.open(0, 5);
  await guest.allUp();
  t.same(owner.gone, [[0, GUEST]], "the same opening has");
  guest.publish(0, 3, Buffer.alloc(10));
  await until(() => guest.acks.length === 1);
});

t.test("what a lane's way has claimed when it ends goes nowhere, and other lanes go on", async (t) => {
  const owner = await OwnerNode.listen(t, { shardCount: 2 });
  const guest = await GuestNode.joined(t, owner);
  const way = guest.slots[0]?.way;
  const index = way?.claimBatch(5_000) ?? -1;
  t.ok(index >= 0);
  way?.commitBatch(index);
  owner.restart(0);
  await until(() => guest.events.filter((event) => event === "up 0").length === 2);
  t.equal(owner.shards[0]?.heard.batches.length, 0);
  for (let sequence = 0; sequence < 3; sequence += 1) {
    guest.publish(0, sequence, Buffer.alloc(10));
    guest.publish(1, sequence, Buffer.alloc(10));
  }
  await until(() => guest.acks.length === 6);
});

t.test("what shards say to every gateway, and what the reader thread says", async (t) => {
  const owner = await OwnerNode.listen(t, { shardCount: 2 });
  const guest = await GuestNode.joined(t, owner);
  const heard: string[] = [];
  guest.handler = handlerOf({
    onAvailable: (shardId, subscriptionId) => heard.push(`available ${shardId} ${subscriptionId}`),
    onDeliver: (streamId, shared, first, next, bytes, start, length) => {
      const digest = createHash("sha256")
        .update(bytes.subarray(start, start + length))
        .digest("hex");
      heard.push(`deliver ${streamId - guestId(0)} ${shared} ${first} ${next} ${digest}`);
    },
  });
  owner.shards[1]?.say(9, 8, (words, w) => {
    words[w + 2] = 77;
  });
  await until(() => heard.length === 1);
  t.same(heard, ["available 1 77"]);
  const record = Buffer.alloc(8 + 32 + 3_000, 5);
  record.writeInt32LE(record.length, 0);
  record.writeInt32LE(3, 4);
  record.writeInt32LE(guestId(4), 8);
  record.writeInt32LE(0, 12);
  record.writeBigInt64LE(6n, 16);
  record.writeBigInt64LE(9n, 24);
  record.writeInt32LE(3_000, 32);
  const { routes } = owner.server;
  routes.forward(GUEST, -1, record, 0, record.length);
  t.equal(owner.server.status()[0]?.queuedBytes, 0, "nobody asked for that, over this link");
  const shard = owner.shards[0] as FakeShard;
  shard.frameBytes = 0;
  guest.path.read(0, guestId(4), guestId(3), 7, 0, 6, 5_000);
  await until(() => shard.heard.reads.length === 1);
  routes.forward(GUEST, -1, record, 0, record.length);
  routes.forward(GUEST, -1, record, 0, record.length);
  routes.forward(GUEST + 1, -1, record, 0, record.length);
  await until(() => heard.length === 2);
  const digest = createHash("sha256").update(Buffer.alloc(3_000, 5)).digest("hex");
  t.equal(heard[1], `deliver 4 false 6 9 ${digest}`);
  t.equal(heard.length, 2, "one answer");
});

t.test("what only the owner may ask of a shard does not come to it from elsewhere", async (t) => {
  const owner = await OwnerNode.listen(t);
  const guest = await GuestNode.joined(t, owner);
  const packr = new Packr({ useRecords: false });
  const way = guest.slots[0]?.way;
  const asked = ["reconcile", "bounds", "reconcileSubscriptions", "gatewayGone", "createTopic", "status"];
  for (const [i, kind] of asked.entries()) way?.request(guestId(i), packr.pack([kind, [], true]));
  way?.flush();
  await until(() => guest.replies.size === asked.length);
  t.same(owner.shards[0]?.heard.requests, [guestId(1), guestId(5)]);
  for (const refused of [0, 2, 3, 4]) {
    const reply = packr.unpack(guest.replies.get(guestId(refused)) as Buffer);
    t.match(reply, [ERROR_CODES.SHARD_RESTARTED.code, /only its owner/, { shardId: 0 }], `${asked[refused]}`);
  }
});

t.test("requests that are refused use up no credit", async (t) => {
  const owner = await OwnerNode.listen(t);
  const guest = await GuestNode.joined(t, owner);
  const payload = new Packr({ useRecords: false }).pack(["reconcile", Buffer.alloc(50_000)]);
  for (let i = 0; i < 100; i += 1) {
    guest.slots[0]?.way?.request(guestId(i), payload);
    guest.slots[0]?.way?.flush();
  }
  await until(() => guest.replies.size === 100);
  t.same(owner.shards[0]?.heard.requests, []);
});
