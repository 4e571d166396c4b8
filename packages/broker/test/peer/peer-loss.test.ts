import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { crc32 } from "@millrace/protocol/internal";
import t, { type Test } from "tap";
import type { PeerPath } from "../../src/peer/peer-address.ts";
import { GuestNode, guestId, handlerOf, OwnerNode, socketPath, until } from "../harness/linked-nodes.ts";
import { givenSeed, type Seeded, seeded } from "../harness/seeded.ts";

/** Between a guest and an owner: passes bytes on in pieces of any size, and cuts each connection after some of them. */
class CuttingRelay {
  readonly path: string;
  cuts = 0;
  bytesUntilCut: () => number = () => Number.POSITIVE_INFINITY;
  readonly #server: Server;

  private constructor(path: string, target: string, random: Seeded) {
    this.path = path;
    this.#server = createServer((socket) => {
      const other = connect(target);
      let left = this.bytesUntilCut();
      const cut = (): void => {
        socket.destroy();
        other.destroy();
      };
      const pass = (from: Socket, to: Socket): void => {
        from.on("error", cut);
        from.on("close", cut);
        from.on("data", (chunk: Buffer) => {
          const at = random.below(chunk.length + 1);
          if (left < chunk.length) {
            this.cuts += 1;
            to.write(chunk.subarray(0, left), cut);
            left = 0;
            return;
          }
          left -= chunk.length;
          to.write(chunk.subarray(0, at));
          to.write(chunk.subarray(at));
        });
      };
      pass(socket, other);
      pass(other, socket);
    });
  }

  static async listen(t: Test, target: string, random: Seeded): Promise<CuttingRelay> {
    const relay = new CuttingRelay(socketPath(t), target, random);
    await new Promise<void>((resolve) => relay.#server.listen(relay.path, resolve));
    t.teardown(() => relay.#server.close());
    t.teardown(() => rmSync(relay.path, { force: true }));
    return relay;
  }
}

t.test(
  "a link that is cut anywhere loses what was under way, and changes, repeats and reorders nothing",
  async (t) => {
    const seed = givenSeed() ?? Date.now() & 0x3fff_ffff;
    t.comment(`MILLRACE_SEED=${seed}`);
    const random = seeded(seed);
    const owner = await OwnerNode.listen(t, { shardCount: 2, ringBytes: 1024 * 1024 });
    const relay = await CuttingRelay.listen(t, (owner.server.address as PeerPath).path, random);
    relay.bytesUntilCut = () => 2_000 + random.below(1_500_000);
    const source = randomBytes(100_000);
    const crcs: number[][] = [[], []];
    const guest = GuestNode.dial(t, { path: relay.path }, { shardCount: 2 });
    const settled = new Set<number>();
    guest.handler = handlerOf({
      onAck: (session, _topic, _partition, _producer, sequence) => guest.acks.push([session, sequence]),
      onSettled: (_shardId, _consumer, settleId) => {
        if (settled.has(settleId)) throw new Error(`settled twice: ${settleId}`);
        settled.add(settleId);
      },
    });
    guest.link.open(0, 1);
    guest.link.open(1, 1);
    let settles = 0;
    const requests = 0;
    while (relay.cuts < 25) {
      for (let i = random.below(30); i > 0; i -= 1) {
        const shardId = random.below(2);
        const sent = crcs[shardId] as number[];
        const payload = source.subarray(0, 5 + random.below(random.oneIn(8) ? 90_000 : 4_000));
        if (guest.publish(shardId, sent.length, payload, guestId(1 + shardId)) === 0) {
          sent.push(crc32(payload, 0, payload.length));
        }
        if (guest.path.settle(shardId, guestId(5), settles, 1, 0, 1, 1, 0, 1, -1, undefined) === 0)
          settles += 1;
        if (random.oneIn(10)) {
          guest.slots[shardId]?.way?.request(guestId(requests), source.subarray(0, random.below(50_000)));
        }
      }
      if (random.oneIn(6)) {
        owner.shards[0]?.stop();
        setTimeout(() => owner.shards[0]?.continue(), 5);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    relay.bytesUntilCut = () => Number.POSITIVE_INFINITY;
    const marks = crcs.map((sent) => sent.length);
    await until(() => {
      // The last connection with an end to it may still be up.
      if (relay.cuts === 0) return false;
      for (const shardId of [0, 1]) {
        const sent = crcs[shardId] as number[];
        if (guest.publish(shardId, sent.length, source.subarray(0, 5_000), guestId(1 + shardId)) === 0) {
          sent.push(crc32(source, 0, 5_000));
        }
      }
      const last = (shardId: number): number =>
        guest.acks.filter(([session]) => session === guestId(1 + shardId)).at(-1)?.[1] ?? -1;
      return [0, 1].every((shardId) => last(shardId) > (marks[shardId] as number) + 20);
    });
    for (const [shardId, shard] of owner.shards.entries()) {
      const heard = shard.heard.batches;
      const sent = crcs[shardId] as number[];
      t.ok(
        heard.every(({ sequence, crc }) => crc === sent[sequence]),
        "nothing is changed",
      );
      t.ok(
        heard.every(
          ({ sequence }, i) => i === 0 || sequence > (heard[i - 1] as { sequence: number }).sequence,
        ),
        "nothing is repeated or overtakes",
      );
      const acked = guest.acks
        .filter(([session]) => session === guestId(1 + shardId))
        .map(([, sequence]) => sequence);
      t.ok(
        acked.every((sequence, i) => i === 0 || sequence > (acked[i - 1] as number)),
        "acks are told once",
      );
      const known = new Set(heard.map(({ sequence }) => sequence));
      t.ok(
        acked.every((sequence) => known.has(sequence)),
        "no ack without its batch",
      );
      const order = shard.heard.consumers.map(([, , settleId]) => settleId);
      t.ok(order.every((settleId, i) => i === 0 || settleId > (order[i - 1] as number)));
    }
    t.ok(owner.gone.length >= 20, "the shards were told each time");
    t.notOk(owner.log.has("peer-link-failed") || guest.log.has("peer-link-failed"), "cuts are no mistakes");
  },
);
