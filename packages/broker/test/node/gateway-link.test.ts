import { Doorbell, INSUFFICIENT_CAPACITY, OneToOneRingBuffer } from "@millrace/core";
import t from "tap";
import { INBOUND, REQUEST_ID } from "../../src/link/inbound-layout.ts";
import { LINK_STATE, type LinkBuffers } from "../../src/link/link-buffers.ts";
import { GatewayLink } from "../../src/node/gateway-link.ts";
import { ShardLink } from "../../src/shard/shard-link.ts";

/** Both ends of one link; `rings` counts how often each side was woken from its sleep. */
function link(): { gateway: GatewayLink; shard: ShardLink; rings: { gateway: number; shard: number } } {
  const buffers: LinkBuffers = {
    inbound: OneToOneRingBuffer.allocate(1024),
    reads: OneToOneRingBuffer.allocate(1024),
    consumers: OneToOneRingBuffer.allocate(1024),
    outbound: OneToOneRingBuffer.allocate(1024),
    state: new SharedArrayBuffer(LINK_STATE.WORDS * 4),
  };
  const rings = { gateway: 0, shard: 0 };
  const sleeper = (side: "gateway" | "shard"): Doorbell => {
    const doorbell: Doorbell = Doorbell.attach(Doorbell.allocate(), () => {
      rings[side] += 1;
      doorbell.park();
    });
    doorbell.park();
    return doorbell;
  };
  return {
    gateway: new GatewayLink(buffers, sleeper("shard"), { onReply: () => {} }, 0),
    shard: new ShardLink(buffers, sleeper("gateway")),
    rings,
  };
}

/** Fills a ring of the gateway. @returns the number of records that went in */
function fill(claim: () => number): number {
  let records = 0;
  while (claim() >= 0) records += 1;
  return records;
}

function consume(ring: OneToOneRingBuffer): number {
  let records = 0;
  for (ring.poll(); ring.next() >= 0; records += 1) ring.advance();
  return records;
}

t.test("nothing is visible before the flush, which wakes the shard once", async (t) => {
  const { gateway, shard, rings } = link();
  gateway.commitBatch(gateway.claimBatch(8));
  gateway.read(1, 2, 3, 0, 5, 100);
  t.equal(consume(shard.inbound) + consume(shard.reads), 0);
  gateway.flush();
  t.equal(rings.shard, 1);
  t.equal(consume(shard.inbound), 1);
  t.equal(consume(shard.reads), 1);
  gateway.flush();
  t.equal(rings.shard, 1, "there was nothing new");
});

t.test("a gateway that found no room is told once there is some", async (t) => {
  for (const ring of ["inbound", "reads"] as const) {
    const { gateway, shard, rings } = link();
    const claim = (): number => {
      if (ring === "reads") return gateway.read(1, 2, 3, 0, 5, 100);
      const index = gateway.claimBatch(8);
      if (index >= 0) gateway.commitBatch(index);
      return index;
    };
    t.notOk(gateway.takeSpace(), "nobody waits");
    t.ok(fill(claim) > 3);
    t.ok(rings.shard > 0, "a sleeping shard must see what fills the ring");
    t.notOk(gateway.takeSpace(), "still full");
    consume(shard[ring]);
    t.notOk(gateway.takeSpace(), "read, but not given back");
    shard.release(shard.inbound.readPosition);
    t.equal(rings.gateway, 1);
    t.ok(gateway.takeSpace());
    t.notOk(gateway.takeSpace(), "once");
    t.ok(claim() >= 0);
    shard.release(shard.inbound.readPosition);
    t.equal(rings.gateway, 1, "nobody waits any more");
  }
});

t.test("requests wait for room in a full ring, and go in before publishes", async (t) => {
  const { gateway, shard } = link();
  const claim = (): number => {
    const index = gateway.claimBatch(8);
    if (index >= 0) gateway.commitBatch(index);
    return index;
  };
  fill(claim);
  let requests = 0;
  // The first ones may fit where no batch does.
  for (; gateway.waitingRequests < 3; requests += 1) gateway.request(requests, new Uint8Array(8));
  gateway.flush();
  t.notOk(gateway.takeSpace());
  const seen: number[] = [];
  const collect = (): void => {
    for (shard.inbound.poll(); ; shard.inbound.advance()) {
      const index = shard.inbound.next();
      if (index < 0) break;
      const { words } = shard.inbound;
      if (words[(index >> 2) + 1] === INBOUND.REQUEST) seen.push(words[(index >> 2) + REQUEST_ID] as number);
    }
  };
  collect();
  shard.release(shard.inbound.readPosition);
  t.equal(gateway.claimBatch(8), INSUFFICIENT_CAPACITY, "there is room, but requests wait for it");
  t.ok(gateway.takeSpace(), "publishes may go on after them");
  t.equal(gateway.waitingRequests, 0);
  collect();
  t.same(
    seen,
    Array.from({ length: requests }, (_, id) => id),
    "in their order, and visible without another flush",
  );
});

t.test("a batch ring keeps its newer half for readers, and more where it is told to", async (t) => {
  const { gateway, shard } = link();
  const claim = (): number => {
    const index = gateway.claimBatch(8);
    if (index >= 0) gateway.commitBatch(index);
    return index;
  };
  fill(claim);
  gateway.flush();
  consume(shard.inbound);
  const end = shard.inbound.readPosition;
  shard.release(0);
  t.equal(shard.inbound.headPosition, 0);
  shard.release(end);
  t.equal(shard.inbound.headPosition, end - 512);
});

t.test("a shard that found no room is woken once there is some", async (t) => {
  const { gateway, shard, rings } = link();
  fill(() => (shard.writeNeedsCredit(1, 2) ? 0 : INSUFFICIENT_CAPACITY));
  shard.publish();
  t.equal(rings.gateway, 1);
  t.equal(rings.shard, 0);
  let heard = 0;
  const handler = { onNeedsCredit: () => (heard += 1) } as unknown as Parameters<
    typeof gateway.outbound.drain
  >[0];
  gateway.outbound.drain(handler, 1);
  t.equal(heard, 1);
  t.equal(rings.shard, 1);
  gateway.outbound.drain(handler, 1);
  t.equal(rings.shard, 1, "it does not wait any more");
  t.ok(shard.writeNeedsCredit(1, 2));
});
