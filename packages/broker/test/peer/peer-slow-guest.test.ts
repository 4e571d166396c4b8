import t from "tap";
import { BROKER_LIMITS } from "../../src/limits.ts";
import { INBOUND } from "../../src/link/inbound-layout.ts";
import { OUTBOUND } from "../../src/link/outbound-layout.ts";
import { LINK } from "../../src/peer/link-layout.ts";
import type { FakeShard } from "../harness/fake-shard.ts";
import { GuestNode, guestId, handlerOf, OwnerNode, RecordedLog, until } from "../harness/linked-nodes.ts";
import { RawPeer } from "../harness/raw-peer.ts";

const SHARED = guestId(900);
const MIB = 1024 * 1024;

/** A guest with a lane that has stopped reading. */
async function deafGuest(owner: OwnerNode): Promise<RawPeer> {
  const peer = new RawPeer(owner);
  peer.hello();
  peer.send(LINK.LANE_OPEN, 1, 0, 1, 0);
  await until(() => peer.types.includes(LINK.LANE_UP));
  peer.socket.pause();
  return peer;
}

function queuedBytes(owner: OwnerNode): number {
  return owner.server.status()[0]?.queuedBytes ?? -1;
}

t.test(
  "who does not read gets no tail deliveries: one gap, and the tail again when it has joined again",
  async (t) => {
    const owner = await OwnerNode.listen(t);
    const shard = owner.shards[0] as FakeShard;
    const peer = await deafGuest(owner);
    let offset = 0;
    for (; offset < 40; offset += 1) {
      await until(() => shard.deliver(SHARED, offset, MIB));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => shard.end.outbound.size() === 0);
    const queued = queuedBytes(owner);
    t.ok(
      queued >= BROKER_LIMITS.peerTailBytesMax && queued < BROKER_LIMITS.peerTailBytesMax + 2 * MIB,
      `${queued}`,
    );
    peer.socket.resume();
    await until(() => peer.records.some(([type]) => type === OUTBOUND.PROGRESS) && queuedBytes(owner) === 0);
    shard.deliver(SHARED, 40, 100);
    shard.join(guestId(5), SHARED, 41);
    shard.deliver(SHARED, 41, 200);
    await until(() => peer.records.at(-1)?.[1] === 200);
    const kinds = peer.records.map(([type]) => type).filter((type) => type < LINK.HELLO);
    const gap = kinds.indexOf(OUTBOUND.PROGRESS);
    const before = BROKER_LIMITS.peerTailBytesMax / MIB;
    t.ok(gap >= before && gap <= before + 4, `deliveries before the gap: ${gap}`);
    t.same(new Set(kinds.slice(0, gap)), new Set([OUTBOUND.DELIVER]));
    t.same(
      kinds.slice(gap),
      [OUTBOUND.PROGRESS, OUTBOUND.JOINED, OUTBOUND.DELIVER],
      "nothing before the join",
    );
    peer.socket.destroy();
  },
);

t.test("its reads wait until it has read, and are all answered then", async (t) => {
  const owner = await OwnerNode.listen(t);
  const shard = owner.shards[0] as FakeShard;
  shard.frameBytes = MIB;
  const peer = await deafGuest(owner);
  peer.send(LINK.LANE, 1, 1);
  for (let i = 0; i < 100; i += 1) peer.send(INBOUND.READ, guestId(i), SHARED, 7, 0, 0, 0, MIB, 0);
  await until(
    () => (owner.server.status()[0]?.lanes[0]?.parkedBytes ?? 0) > 0 && shard.end.outbound.size() === 0,
  );
  const inTurn = BROKER_LIMITS.peerAnswerBytesMax / MIB;
  t.ok(shard.heard.reads.length >= inTurn && shard.heard.reads.length <= inTurn + 2);
  t.ok(queuedBytes(owner) <= BROKER_LIMITS.peerAnswerBytesMax + 2 * MIB);
  peer.socket.resume();
  await until(() => peer.records.filter(([type]) => type === OUTBOUND.DELIVER).length === 100);
  t.same(
    peer.records.filter(([type]) => type === OUTBOUND.DELIVER).map(([, , id]) => id),
    Array.from({ length: 100 }, (_, i) => guestId(i)),
  );
  t.equal(owner.server.status()[0]?.lanes[0]?.parkedBytes, 0);
  peer.socket.destroy();
});

t.test("a slow guest costs another one nothing", async (t) => {
  const owner = await OwnerNode.listen(t);
  const shard = owner.shards[0] as FakeShard;
  const peer = await deafGuest(owner);
  for (let offset = 0; offset < 20; offset += 1) {
    await until(() => shard.deliver(SHARED, offset, MIB));
    await new Promise((resolve) => setImmediate(resolve));
  }
  // It has the number 2: the other one comes as node 3, with a link of its own.
  const log = new RecordedLog();
  const other = GuestNode.dial(t, owner.server.address, { nodeId: 3, logger: log });
  const delivered: number[] = [];
  other.handler = handlerOf({ onDeliver: (streamId) => delivered.push(streamId) });
  other.link.open(0, 1);
  await other.allUp();
  const ownId = 3 * 2 ** 24 + 9;
  t.equal(other.path.read(0, ownId, ownId + 1, 7, 0, 0, 100), 0);
  await until(() => delivered.length === 1);
  shard.deliver(ownId + 1, 0, 500);
  await until(() => delivered.length === 2);
  t.same(delivered, [ownId, ownId + 1]);
  peer.socket.destroy();
});
