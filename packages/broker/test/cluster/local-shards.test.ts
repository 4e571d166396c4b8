import t from "tap";
import { LocalShards, type OpenedShard } from "../../src/cluster/local-shards.ts";
import type { GatewayLink } from "../../src/node/gateway-link.ts";

/** Threads and catalog that do what a test lets them do. */
class Rig {
  readonly events: string[] = [];
  readonly shards: LocalShards;
  epoch = 0;
  /** Whoever prepares waits here. */
  gate: Promise<void> = Promise.resolve();
  failure: Error | undefined;

  constructor() {
    this.shards = new LocalShards({
      open: async (shardId) => {
        this.events.push(`open ${shardId}`);
        if (this.failure !== undefined) throw this.failure;
        return this.opened(shardId);
      },
      close: async (shardId) => void this.events.push(`close ${shardId}`),
      onLink: (shardId, link) =>
        void this.events.push(`${link === undefined ? "no link" : "link"} ${shardId}`),
      prepare: async ({ recovered }, signal) => {
        this.events.push(`prepare ${recovered.shardId}`);
        const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
        await Promise.race([this.gate, aborted]);
        if (signal.aborted) throw new Error("aborted");
      },
      onUp: (shardId) => void this.events.push(`up ${shardId}`),
      onClosing: (shardId) => void this.events.push(`closing ${shardId}`),
      onDown: (shardId) => void this.events.push(`down ${shardId}`),
      onReturned: (shardId, epoch) => void this.events.push(`returned ${shardId} ${epoch}`),
      onDrained: (shardId) => void this.events.push(`drained ${shardId}`),
      onNotReturned: (shardId, error) => void this.events.push(`not returned ${shardId}: ${String(error)}`),
    });
  }

  opened(shardId: number): OpenedShard {
    this.epoch += 1;
    const recovered = { shardId, epoch: this.epoch, cleanShutdown: true, entries: 0, recoveryMs: 3 };
    return { recovered, link: {} as GatewayLink };
  }

  take(): string[] {
    return this.events.splice(0);
  }
}

/** Lets everything happen that is not waiting for anything. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

t.test("a shard is opened, prepared, served, and closed again", async (t) => {
  const rig = new Rig();
  t.same(await rig.shards.open(3), { epoch: 1, recoveryMs: 3 });
  t.same(rig.take(), ["open 3", "link 3", "prepare 3", "up 3"]);
  t.same(rig.shards.list(), [{ shardId: 3, state: "open", epoch: 1 }]);
  t.same(await rig.shards.open(3), { epoch: 1, recoveryMs: 0 }, "it has it");
  t.same(rig.take(), []);
  await rig.shards.close(3);
  t.same(rig.take(), ["closing 3", "close 3", "down 3", "no link 3"]);
  t.same(rig.shards.list(), []);
  await rig.shards.close(3);
  t.same(rig.take(), [], "it has it no longer");
});

t.test("who asks for what is under way joins in", async (t) => {
  const rig = new Rig();
  t.same(await Promise.all([rig.shards.open(3), rig.shards.open(3)]), [
    { epoch: 1, recoveryMs: 3 },
    { epoch: 1, recoveryMs: 0 },
  ]);
  await Promise.all([rig.shards.close(3), rig.shards.close(3)]);
  t.same(
    rig.take().filter((event) => event.startsWith("close ") || event.startsWith("open ")),
    ["open 3", "close 3"],
  );
});

t.test("a close breaks off an opening that waits for the catalog", async (t) => {
  const rig = new Rig();
  rig.gate = new Promise(() => {});
  const opening = rig.shards.open(3);
  await settled();
  t.same(rig.shards.list(), [{ shardId: 3, state: "opening", epoch: 1 }]);
  const closing = rig.shards.close(3);
  await t.rejects(opening, { code: "ABORTED" });
  await closing;
  t.same(
    rig.take(),
    ["open 3", "link 3", "prepare 3", "close 3", "no link 3"],
    "nobody was told that it is up",
  );
  t.same(rig.shards.list(), []);
});

t.test("the last of open, close, open and close counts", async (t) => {
  const rig = new Rig();
  const asked = [rig.shards.open(3), rig.shards.close(3), rig.shards.open(3), rig.shards.close(3)];
  const outcomes = await Promise.allSettled(asked);
  t.same(
    outcomes.map(({ status }) => status),
    ["rejected", "fulfilled", "rejected", "fulfilled"],
  );
  t.same(rig.shards.list(), []);
  const [, reopened] = await Promise.allSettled([rig.shards.close(3), rig.shards.open(3)]);
  t.equal(reopened.status, "fulfilled");
  t.same(rig.shards.list(), [{ shardId: 3, state: "open", epoch: rig.epoch }]);
});

t.test("shards do not wait for each other", async (t) => {
  const rig = new Rig();
  rig.gate = new Promise(() => {});
  const waits = rig.shards.open(1);
  waits.catch(() => {});
  await settled();
  rig.gate = Promise.resolve();
  t.match(await rig.shards.open(2), { epoch: 2 });
  await rig.shards.close(1);
});

t.test("one that cannot be recovered is not there, and may be asked for again", async (t) => {
  const rig = new Rig();
  rig.failure = new Error("damaged");
  await t.rejects(rig.shards.open(3), { message: "damaged" });
  t.same(rig.take(), ["open 3", "close 3", "no link 3"], "whatever there is of it is let go of");
  t.same(rig.shards.list(), []);
  rig.failure = undefined;
  t.match(await rig.shards.open(3), { epoch: 1 });
});

t.test("one that was lost with its thread comes back", async (t) => {
  const rig = new Rig();
  await rig.shards.open(3);
  rig.take();
  rig.shards.lost(3);
  t.same(rig.take(), ["no link 3", "down 3"]);
  t.same(rig.shards.list(), [{ shardId: 3, state: "opening", epoch: 1 }]);
  rig.shards.returned(rig.opened(3));
  await settled();
  t.same(rig.take(), ["link 3", "prepare 3", "up 3", "returned 3 2"]);
});

t.test("one that is lost twice before it is back comes back", async (t) => {
  const rig = new Rig();
  await rig.shards.open(3);
  rig.shards.lost(3);
  await settled();
  rig.shards.lost(3);
  rig.take();
  rig.shards.returned(rig.opened(3));
  await settled();
  t.same(rig.take(), ["link 3", "prepare 3", "up 3", "returned 3 2"]);
  await rig.shards.close(3);
  t.same(rig.shards.list(), []);
});

t.test("one that is lost while it is being prepared is served all the same", async (t) => {
  const rig = new Rig();
  let release = (): void => {};
  rig.gate = new Promise((resolve) => {
    release = resolve;
  });
  const opening = rig.shards.open(3);
  await settled();
  rig.shards.lost(3);
  release();
  await settled();
  t.notOk(rig.take().includes("up 3"), "what was prepared is dead");
  rig.shards.returned(rig.opened(3));
  t.match(await opening, { epoch: 2 });
  t.same(rig.take(), ["link 3", "prepare 3", "up 3"]);
});

t.test("one that is closed while its thread is started again is closed when it has come back", async (t) => {
  const rig = new Rig();
  await rig.shards.open(3);
  rig.shards.lost(3);
  const closing = rig.shards.close(3);
  await settled();
  t.notOk(rig.take().includes("close 3"), "somebody else could open it while it is opened here");
  rig.shards.returned(rig.opened(3));
  await closing;
  const happened = rig.take();
  t.ok(happened.includes("close 3"));
  t.notOk(happened.includes("up 3"));
  t.same(rig.shards.list(), []);
});

t.test("one that cannot be opened again is not there", async (t) => {
  const rig = new Rig();
  await rig.shards.open(3);
  rig.shards.lost(3);
  rig.take();
  rig.shards.gone(3);
  await settled();
  t.same(rig.take(), ["no link 3"], "whoever said that it is gone has said why");
  t.same(rig.shards.list(), []);
  t.match(await rig.shards.open(3), { epoch: 2 });
});

t.test("one that is recovered and cannot be prepared is given up", async (t) => {
  const rig = new Rig();
  await rig.shards.open(3);
  rig.shards.lost(3);
  rig.gate = Promise.reject(new Error("damaged"));
  rig.shards.returned(rig.opened(3));
  await settled();
  await settled();
  t.equal(rig.take().at(-1), "not returned 3: Error: damaged");
  t.same(rig.shards.list(), []);
});

t.test("one whose journal failed is gone", async (t) => {
  const rig = new Rig();
  await rig.shards.open(3);
  t.equal(rig.shards.gone(3), 1);
  t.same(rig.shards.list(), []);
  await rig.shards.close(3);
  t.match(await rig.shards.open(3), { epoch: 2 });
});

t.test("a node that ends closes all it has and opens nothing", async (t) => {
  const rig = new Rig();
  await Promise.all([rig.shards.open(1), rig.shards.open(2)]);
  const draining = rig.shards.drain();
  t.throws(() => rig.shards.open(3), { code: "DRAINING" });
  await draining;
  t.same(rig.shards.list(), []);
  t.same(
    rig.take().filter((event) => event.startsWith("drained")),
    ["drained 1", "drained 2"],
  );
});

t.test("a node that ends without closing gives up what it opens, and waits for no thread", async (t) => {
  const rig = new Rig();
  await rig.shards.open(1);
  rig.gate = new Promise(() => {});
  const openings = [rig.shards.open(2), rig.shards.open(2)];
  await settled();
  rig.take();
  rig.shards.terminate();
  for (const opening of openings) await t.rejects(opening, { code: "ABORTED" });
  t.same(rig.take(), ["no link 2"]);
  t.throws(() => rig.shards.open(3), { code: "DRAINING" });
});
