import { OneToOneRingBuffer } from "@millrace/core";
import t from "tap";
import * as out from "../../src/link/outbound-layout.ts";
import type { GatewayHandler } from "../../src/node/gateway-handler.ts";
import { type GuestRoutes, NO_SHARD, OutboundReader } from "../../src/node/outbound-reader.ts";

const OWN = 3;
const ID_BYTES = 64;

interface Heard {
  readonly own: string[];
  readonly forwarded: [gateway: number, shardId: number, type: number, length: number][];
  readonly broadcast: [shardId: number, type: number, length: number][];
}

function rig(shardId: number): {
  heard: Heard;
  write: (type: number, at: number, id: number, bytes?: number) => void;
  drain: (isRouted: boolean) => number;
} {
  const ring = OneToOneRingBuffer.attach(OneToOneRingBuffer.allocate(4096));
  const heard: Heard = { own: [], forwarded: [], broadcast: [] };
  const handler = new Proxy({} as GatewayHandler, {
    get: (_, name) => () => heard.own.push(String(name)),
  });
  const replies = { onReply: (): void => void heard.own.push("onReply") };
  const guests: GuestRoutes = {
    forward: (gateway, shard, bytes, index, length) =>
      heard.forwarded.push([gateway, shard, bytes.readInt32LE(index + 4), length]),
    broadcast: (shard, bytes, index, length) =>
      heard.broadcast.push([shard, bytes.readInt32LE(index + 4), length]),
  };
  const reader = new OutboundReader(ring.buffer, replies, () => {}, shardId);
  return {
    heard,
    write: (type, at, id, bytes = ID_BYTES) => {
      const index = ring.tryClaim(type, bytes);
      ring.words.fill(0, index >> 2, (index + bytes) >> 2);
      ring.words[(index >> 2) - 2 + at] = id;
      ring.commit(index);
      ring.publish();
    },
    drain: (isRouted) => reader.drain(handler, 1_000_000, isRouted ? { gateway: OWN, guests } : undefined),
  };
}

const NAMED = Object.values(out.OUTBOUND).filter(
  (type) => type !== out.OUTBOUND.AVAILABLE && type !== out.OUTBOUND.NOTICE,
);

t.test("records go to the gateway that their id names", async (t) => {
  for (const shardId of [5, NO_SHARD]) {
    const { heard, write, drain } = rig(shardId);
    for (const type of NAMED) {
      write(type, 2, OWN * 2 ** 24 + 17);
      write(type, 2, 126 * 2 ** 24 + 17, 30 + ID_BYTES);
      write(type, 2, 17);
      t.equal(drain(true), 3);
      t.equal(heard.own.length, 1);
      t.same(heard.forwarded, [
        [126, shardId, type, 8 + 30 + ID_BYTES],
        [0, shardId, type, 8 + ID_BYTES],
      ]);
      heard.own.length = 0;
      heard.forwarded.length = 0;
    }
    t.same(heard.broadcast, []);
  }
});

t.test(
  "what is for every gateway goes to all of them, and a notice about a consumer to its own",
  async (t) => {
    const { heard, write, drain } = rig(5);
    write(out.OUTBOUND.AVAILABLE, 2, 70);
    t.equal(drain(true), 1);
    t.same(heard, { own: ["onAvailable"], forwarded: [], broadcast: [[5, out.OUTBOUND.AVAILABLE, 72]] });
    write(out.OUTBOUND.NOTICE, out.NOTICE_TO, 4 * 2 ** 24 + 1);
    t.equal(drain(true), 1);
    t.same(heard.forwarded, [[4, 5, out.OUTBOUND.NOTICE, 72]]);
    t.equal(heard.own.length, 1);
  },
);

t.test("where there is one gateway, all of it is its own", async (t) => {
  const { heard, write, drain } = rig(5);
  for (const type of NAMED) write(type, 2, 126 * 2 ** 24 + 17);
  t.equal(drain(false), NAMED.length);
  t.equal(heard.own.length, NAMED.length);
  t.same([heard.forwarded, heard.broadcast], [[], []]);
});
