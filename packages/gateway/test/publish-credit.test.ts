import { LIMITS } from "@millrace/protocol";
import t from "tap";
import { GATEWAY_LIMITS } from "../src/limits.ts";
import {
  CREDIT_EXCEEDED,
  CreditAccount,
  type CreditOwner,
  INVALID_LIMIT,
  PublishCreditPool,
} from "../src/publish-credit.ts";
import { publishFrame, seededRandom } from "./support/batches.ts";
import { FakeClock } from "./support/fake-clock.ts";
import { InMemoryGateway } from "./support/in-memory.ts";

const INITIAL = LIMITS.publishCreditInitialBytes;

class Owner implements CreditOwner {
  readonly account: CreditAccount = new CreditAccount(this);
  /** Highest limit that the client was told. */
  limit = 0;
  revokes: number[] = [];
  credits: number[] = [];
  timedOut = false;
  full = false;

  canSend(): boolean {
    return !this.full;
  }

  sendCredit(limit: number): void {
    this.credits.push(limit);
    this.limit = Math.max(this.limit, limit);
  }

  sendRevoke(limit: number): void {
    this.revokes.push(limit);
  }

  revokeTimedOut(): void {
    this.timedOut = true;
  }
}

function poolOf(bytes?: number): { clock: FakeClock; pool: PublishCreditPool; open: () => Owner } {
  const clock = new FakeClock();
  const pool = new PublishCreditPool(clock, bytes);
  return {
    clock,
    pool,
    open: () => {
      const owner = new Owner();
      owner.limit = pool.open(owner.account);
      return owner;
    },
  };
}

t.test("a session starts with 16 KiB, and an active one is given more and more", (t) => {
  const { clock, pool, open } = poolOf();
  const { account, ...owner } = open();
  t.equal(owner.limit, INITIAL);
  let windows = 0;
  for (let i = 0; i < 40; i += 1) {
    const spent = account.headroom;
    t.equal(pool.spend(account, spent), 0);
    pool.release(account, spent);
    clock.settle();
    t.ok(account.headroom >= Math.min(spent, GATEWAY_LIMITS.publishWindowBytesMax));
    if (account.window > windows) windows = account.window;
  }
  t.equal(windows, GATEWAY_LIMITS.publishWindowBytesMax);
  t.equal(pool.available, pool.poolBytes - account.headroom);
  t.end();
});

t.test("the window of a session whose frames are parked does not grow, and shrinks to 1 MiB", (t) => {
  const { clock, pool, open } = poolOf();
  const { account } = open();
  pool.spend(account, INITIAL);
  pool.congested(account);
  pool.announce(account);
  t.equal(account.window, INITIAL, "no growth while a frame waits, no shrinking below 1 MiB");
  pool.release(account, INITIAL);
  for (let i = 0; i < 20; i += 1) {
    const bytes = account.headroom;
    pool.spend(account, bytes);
    pool.release(account, bytes);
    clock.settle();
  }
  t.equal(account.window, GATEWAY_LIMITS.publishWindowBytesMax);
  for (let i = 0; i < 5; i += 1) pool.congested(account);
  t.equal(account.window, GATEWAY_LIMITS.publishWindowCongestedBytes);
  t.end();
});

t.test("credit is told with an ACK, or alone once half of the window is used", (t) => {
  const { clock, pool, open } = poolOf();
  const owner = open();
  const { account } = owner;
  pool.spend(account, 100);
  pool.release(account, 100);
  clock.settle();
  t.same(owner.credits, [], "little was used");
  t.equal(pool.announce(account), INITIAL + 100, "an ACK carries the new limit");
  pool.spend(account, INITIAL / 2);
  pool.release(account, INITIAL / 2);
  t.same(owner.credits, [], "not within the turn: an ACK may come first");
  clock.settle();
  t.same(owner.credits, [INITIAL + 100 + INITIAL / 2]);
  // The ACK came first.
  pool.spend(account, account.headroom);
  pool.release(account, account.received - account.released);
  pool.announce(account);
  clock.settle();
  t.equal(owner.credits.length, 1);
  t.end();
});

t.test("what a shard has not answered is not granted anew until it has", (t) => {
  const { clock, pool, open } = poolOf();
  const owner = open();
  const { account } = owner;
  pool.spend(account, INITIAL);
  pool.release(account, INITIAL);
  account.unanswered = INITIAL;
  clock.settle();
  t.equal(account.window, 2 * INITIAL, "half of a window was used: it grows");
  t.equal(account.headroom, INITIAL, "and the part that is not in flight is granted");
  pool.spend(account, INITIAL);
  pool.release(account, INITIAL);
  account.unanswered = 2 * INITIAL;
  pool.announce(account);
  pool.announce(account);
  t.ok(account.limit - account.released + account.unanswered <= account.window);
  account.unanswered = 0;
  pool.refill(account);
  clock.settle();
  t.equal(account.headroom, account.window, "an answer that is no ACK frees it, too");
  t.end();
});

t.test("bytes past the limit are refused, and so is a limit that was never granted", (t) => {
  const { pool, open } = poolOf();
  const { account } = open();
  t.equal(pool.spend(account, INITIAL + 1), CREDIT_EXCEEDED);
  t.equal(pool.spend(account, INITIAL), 0);
  t.equal(pool.spend(account, 1), CREDIT_EXCEEDED);
  t.equal(pool.returned(account, INITIAL + 1), INVALID_LIMIT);
  t.equal(pool.returned(account, INITIAL - 1), INVALID_LIMIT);
  t.equal(pool.available, pool.poolBytes - INITIAL);
  t.end();
});

t.test("an empty pool makes sessions wait, and serves them first come first served", (t) => {
  const { clock, pool, open } = poolOf(2 * INITIAL + 1000);
  const first = open();
  const second = open();
  const third = open();
  const fourth = open();
  t.same([first.limit, second.limit, third.limit, fourth.limit], [INITIAL, INITIAL, 1000, 0]);
  t.equal(pool.waiting, 2);
  pool.close(first.account);
  clock.settle();
  t.equal(third.limit, INITIAL, "topped up");
  t.equal(fourth.limit, 0, "1000 bytes would not do");
  t.equal(pool.available, 1000);
  pool.close(second.account);
  clock.settle();
  t.equal(fourth.limit, INITIAL);
  t.equal(pool.waiting, 0);
  t.end();
});

t.test("an active session cannot keep a waiting one out", (t) => {
  const { clock, pool, open } = poolOf(INITIAL);
  const busy = open();
  const waiting = open();
  t.equal(waiting.limit, 0);
  for (let i = 0; i < 4; i += 1) {
    const bytes = Math.min(4096, busy.limit - busy.account.received);
    pool.spend(busy.account, bytes);
    pool.release(busy.account, bytes);
    clock.settle();
  }
  t.equal(waiting.limit, INITIAL, "what the busy one spent went to who waited");
  t.equal(busy.limit, INITIAL, "and it waits in turn");
  t.equal(pool.waiting, 1);
  t.end();
});

t.test("CREDIT_REQUEST is granted up to the largest frame, at once or in turn", (t) => {
  const { clock, pool, open } = poolOf(4 * 1024 * 1024);
  const owner = open();
  pool.request(owner.account, 1_000_000);
  clock.settle();
  t.ok(owner.limit >= 1_000_000);
  pool.request(owner.account, 1);
  clock.settle();
  t.equal(owner.credits.length, 2, "also answered when there is enough");
  const other = open();
  pool.request(other.account, Number.MAX_SAFE_INTEGER);
  clock.settle();
  t.equal(other.limit, LIMITS.frameBytesMax);
  const third = open();
  pool.request(third.account, LIMITS.frameBytesMax);
  clock.settle();
  t.equal(third.limit, INITIAL, "the pool is short");
  pool.close(other.account);
  clock.settle();
  t.equal(third.limit, LIMITS.frameBytesMax);
  t.end();
});

t.test("idle sessions give back what others wait for", (t) => {
  const { clock, pool, open } = poolOf(4 * INITIAL);
  const idle = [open(), open(), open(), open()];
  const late = open();
  t.equal(late.limit, 0);
  pool.tick();
  t.same(
    idle.flatMap(({ revokes }) => revokes),
    [],
    "not at once",
  );
  clock.advance(GATEWAY_LIMITS.creditIdleMs);
  pool.spend((idle[1] as Owner).account, 10);
  pool.tick();
  const revoked = idle.filter(({ revokes }) => revokes.length > 0);
  t.same(revoked, [idle[0], idle[2], idle[3]], "those that are idle");
  t.same(
    revoked.map(({ revokes }) => revokes),
    [[0], [0], [0]],
  );
  const [one, two] = revoked as [Owner, Owner];
  t.equal(pool.announce(one.account), 0, "an ACK meanwhile does not raise it again");
  // A client that had sent something by then keeps that much.
  t.equal(pool.spend(one.account, 500), 0);
  t.equal(pool.returned(one.account, 500), 0);
  clock.settle();
  t.equal(late.limit, 0, "not enough yet");
  t.equal(pool.returned(two.account, 0), 0);
  clock.settle();
  t.equal(late.limit, INITIAL);
  pool.release(one.account, 500);
  pool.request(one.account, 100);
  clock.settle();
  t.equal(one.limit >= 600, true, "who was idle gets credit again when it asks");
  clock.advance(GATEWAY_LIMITS.creditRevokeTimeoutMs);
  pool.tick();
  t.same(
    idle.filter(({ timedOut }) => timedOut),
    [idle[3]],
    "who does not answer is closed",
  );
  t.end();
});

t.test("sessions that each hold less than they need do not wait for each other for ever", (t) => {
  const { clock, pool, open } = poolOf(8 * INITIAL);
  const frameBytes = INITIAL / 2 + 100;
  const sessions = Array.from({ length: 40 }, open);
  const sent = new Map<Owner, number>();
  // Each sends two frames. What is left of the first grant is too small for the second.
  for (let round = 0; round < 200; round += 1) {
    for (const owner of sessions) {
      const { account } = owner;
      for (const limit of owner.revokes.splice(0)) {
        owner.limit = Math.min(owner.limit, Math.max(limit, account.received));
        t.equal(pool.returned(account, owner.limit), 0);
      }
      const frames = sent.get(owner) ?? 0;
      if (frames === 2) continue;
      if (account.received + frameBytes > owner.limit) {
        if (account.wanted === 0) pool.request(account, frameBytes);
        continue;
      }
      t.equal(pool.spend(account, frameBytes), 0);
      pool.release(account, frameBytes);
      sent.set(owner, frames + 1);
    }
    clock.settle();
    clock.advance(GATEWAY_LIMITS.tickMs);
    pool.tick();
  }
  t.same(
    sessions.map((owner) => sent.get(owner)),
    sessions.map(() => 2),
  );
  t.end();
});

t.test("a grown window is taken back while it is idle and the pool is short", (t) => {
  const { clock, pool, open } = poolOf(GATEWAY_LIMITS.creditPoolReserveBytes + 200_000);
  const owner = open();
  for (let i = 0; i < 4; i += 1) {
    const bytes = owner.account.headroom;
    pool.spend(owner.account, bytes);
    pool.release(owner.account, bytes);
    clock.settle();
  }
  t.ok(owner.account.headroom > INITIAL);
  for (let i = 0; i < 20; i += 1) open();
  pool.tick();
  clock.advance(GATEWAY_LIMITS.creditIdleMs);
  pool.tick();
  t.same(owner.revokes, [owner.account.received + INITIAL], "down to what everybody has");
  t.end();
});

t.test("a session with a full socket is told of its credit when it drains", (t) => {
  const { clock, pool, open } = poolOf();
  const owner = open();
  owner.full = true;
  pool.spend(owner.account, INITIAL);
  pool.release(owner.account, INITIAL);
  clock.settle();
  t.same(owner.credits, []);
  owner.full = false;
  pool.drained(owner.account);
  t.equal(owner.credits.length, 1);
  t.end();
});

t.test("model: the pool is never overdrawn and nobody starves", (t) => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const random = seededRandom(seed);
    const { clock, pool, open } = poolOf(20 * INITIAL);
    const owners: Owner[] = [];
    const held = new Map<Owner, number[]>();
    const check = (): void => {
      let reserved = 0;
      for (const owner of held.keys()) reserved += owner.account.limit - owner.account.released;
      if (reserved + pool.available !== pool.poolBytes || pool.available < 0) {
        t.fail(`seed ${seed}: reserved ${reserved}, available ${pool.available}`);
      }
      for (const owner of owners) {
        if (owner.limit > owner.account.limit) t.fail(`seed ${seed}: the client believes in too much`);
      }
    };
    for (let step = 0; step < 1500; step += 1) {
      const owner = owners[Math.floor(random() * owners.length)];
      const roll = random();
      if (owner === undefined || (roll < 0.03 && owners.length < 60)) {
        const made = open();
        owners.push(made);
        held.set(made, []);
      } else if (roll < 0.4) {
        // A client spends what it knows of.
        const bytes = Math.floor(random() * (owner.limit - owner.account.received));
        if (bytes > 0) {
          if (pool.spend(owner.account, bytes) !== 0) t.fail(`seed ${seed}: honest client refused`);
          held.get(owner)?.push(bytes);
        } else pool.request(owner.account, 1 + Math.floor(random() * 100_000));
      } else if (roll < 0.8) {
        const bytes = held.get(owner)?.shift();
        if (bytes !== undefined) pool.release(owner.account, bytes);
      } else if (roll < 0.9) {
        owner.limit = Math.max(owner.limit, pool.announce(owner.account));
      } else if (roll < 0.92) {
        pool.close(owner.account);
        owners.splice(owners.indexOf(owner), 1);
        for (const bytes of held.get(owner) ?? []) pool.release(owner.account, bytes);
        held.delete(owner);
      } else if (roll < 0.96) {
        clock.advance(2_000);
        pool.tick();
      } else {
        clock.settle();
      }
      for (const other of owners) {
        const limit = other.revokes.pop();
        if (limit === undefined) continue;
        other.limit = Math.max(other.account.received, Math.min(other.limit, limit));
        if (pool.returned(other.account, other.limit) !== 0) t.fail(`seed ${seed}: return refused`);
      }
      check();
    }
    // Everybody asks for one frame and sends it as soon as it may: all get their turn.
    for (const owner of owners) {
      for (const bytes of held.get(owner) ?? []) pool.release(owner.account, bytes);
      held.set(owner, []);
      pool.request(owner.account, INITIAL);
    }
    const left = new Set(owners);
    for (let round = 0; round < 200 && left.size > 0; round += 1) {
      clock.advance(1_000);
      clock.settle();
      pool.tick();
      for (const owner of owners) {
        const limit = owner.revokes.pop();
        if (limit === undefined) continue;
        owner.limit = Math.max(owner.account.received, Math.min(owner.limit, limit));
        pool.returned(owner.account, owner.limit);
        if (left.has(owner)) pool.request(owner.account, INITIAL);
      }
      for (const owner of left) {
        if (owner.limit - owner.account.received < INITIAL) continue;
        pool.spend(owner.account, INITIAL);
        pool.release(owner.account, INITIAL);
        left.delete(owner);
      }
      check();
    }
    if (left.size > 0)
      t.fail(`seed ${seed}: ${left.size} of ${owners.length} starve, ${pool.available} available`);
  }
  t.pass("60 seeds");
  t.end();
});

t.test("a client that ignores its credit is closed at once", async (t) => {
  const bench = new InMemoryGateway();
  const topic = bench.node.addTopic("flights");
  const client = bench.connect();
  const available = bench.gateway.availableCredit;
  t.equal(client.socket.all("WELCOME")[0]?.publishCredit, INITIAL);
  client.sendBytes(publishFrame(topic.topicId, 0, 0, ["x".repeat(INITIAL)]));
  t.match(client.socket.all("ERROR"), [{ name: "CREDIT_EXCEEDED" }]);
  t.match(client.socket.closed, { code: 1008, reason: "CREDIT_EXCEEDED" });
  t.equal(bench.node.publishes.length, 0);
  t.equal(bench.gateway.availableCredit, available + INITIAL);
  client.sendBytes(publishFrame(topic.topicId, 0, 0, ["x"]));
  t.equal(bench.node.publishes.length, 0, "nothing more is taken from it");
});

t.test("10,000 sessions that spend all of theirs at a full shard stay within the pool", async (t) => {
  const bench = new InMemoryGateway();
  const topic = bench.node.addTopic("flights");
  const [shard] = bench.node.shards;
  if (shard === undefined) throw new Error("no shard");
  shard.capacityBytes = 0;
  const frame = publishFrame(topic.topicId, 0, 0, ["x".repeat(INITIAL - 200)]);
  let accepted = 0;
  let granted = 0;
  for (let i = 0; i < 10_000; i += 1) {
    const client = bench.connect();
    const credit = client.socket.all("WELCOME")[0]?.publishCredit ?? 0;
    granted += credit;
    if (credit >= frame.length) {
      client.sendBytes(frame);
      accepted += 1;
    }
    client.socket.take();
  }
  t.equal(granted, LIMITS.publishCreditPoolBytes);
  t.equal(bench.gateway.availableCredit, 0);
  t.ok(accepted > 4_000);
  // The parked frames are refused, and their credit goes to those who have had none.
  bench.clock.advance(2_000);
  t.ok(bench.gateway.availableCredit < INITIAL);
  t.equal(bench.gateway.sessionCount, 10_000);
  shard.capacityBytes = Number.POSITIVE_INFINITY;
});
