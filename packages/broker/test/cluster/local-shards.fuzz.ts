import t from "tap";
import { LocalShards, type OpenedShard } from "../../src/cluster/local-shards.ts";
import type { GatewayLink } from "../../src/node/gateway-link.ts";
import { givenSeed, type Seeded, seeded } from "../harness/seeded.ts";

const SHARD = 5;
const ROUNDS = 150;
const STEPS = 25;

/** Threads as ShardThreads says they are, slow, and with shards that are lost, come back, or do not. */
class ModelThreads {
  state: "absent" | "opening" | "open" | "closing" | "lost" = "absent";
  epoch = 0;
  readonly #random: Seeded;

  constructor(random: Seeded) {
    this.#random = random;
  }

  async open(): Promise<OpenedShard> {
    if (this.state !== "absent") throw new Error(`opened while it is ${this.state}`);
    this.state = "opening";
    await this.pause();
    if (this.#random.oneIn(6)) {
      this.state = "absent";
      throw new Error("damaged");
    }
    return this.opened();
  }

  async close(): Promise<void> {
    if (this.state === "lost" || this.state === "opening" || this.state === "closing") {
      throw new Error(`closed while it is ${this.state}`);
    }
    if (this.state === "absent") throw new Error("not open");
    this.state = "closing";
    await this.pause();
    this.state = "absent";
  }

  opened(): OpenedShard {
    this.state = "open";
    this.epoch += 1;
    const recovered = { shardId: SHARD, epoch: this.epoch, cleanShutdown: true, entries: 0, recoveryMs: 1 };
    return { recovered, link: { epoch: this.epoch } as unknown as GatewayLink };
  }

  async pause(): Promise<void> {
    for (let turns = this.#random.below(4); turns > 0; turns -= 1) await turn();
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Plays one shard through random commands and losses. @throws Error saying what does not hold */
async function play(random: Seeded): Promise<void> {
  const threads = new ModelThreads(random);
  const faults: string[] = [];
  let isUp = false;
  let link: GatewayLink | undefined;
  const fault = (what: string): void => void faults.push(what);
  const shards = new LocalShards({
    open: () => threads.open(),
    close: async () => {
      try {
        await threads.close();
      } catch (error) {
        const { message } = error as Error;
        if (message !== "not open") fault(message);
        throw error;
      }
    },
    onLink: (_shardId, now) => {
      link = now;
    },
    prepare: async (opened, signal) => {
      await threads.pause();
      if (signal.aborted || link !== opened.link || random.oneIn(8)) throw new Error("not prepared");
    },
    onUp: (_shardId, epoch) => {
      if (isUp) fault("up twice");
      if (epoch !== threads.epoch) fault(`served with epoch ${epoch}: ${threads.epoch}`);
      if (threads.state !== "open") fault(`served while it is ${threads.state}`);
      isUp = true;
    },
    onClosing: () => {},
    onDown: () => {
      isUp = false;
    },
    onReturned: () => {},
    onDrained: () => {},
    onNotReturned: () => {
      if (isUp) fault("up, and not returned");
    },
  });
  const asked: Promise<unknown>[] = [];
  let last: "open" | "close" = "close";
  for (let step = 0; step < STEPS; step += 1) {
    const pick = random.below(5);
    // Threads tell in messages: whatever follows from the one before has happened.
    if (pick >= 2) await turn();
    if (pick < 2) {
      last = pick === 0 ? "open" : "close";
      asked.push((pick === 0 ? shards.open(SHARD) : shards.close(SHARD)).catch(() => {}));
    } else if (pick === 2 && threads.state === "open") {
      threads.state = "lost";
      // Some are lost again before they have come back.
      do {
        shards.lost(SHARD);
        await turn();
        await threads.pause();
      } while (random.oneIn(3));
      if (random.oneIn(4)) {
        threads.state = "absent";
        shards.gone(SHARD);
        isUp = false;
      } else {
        shards.returned(threads.opened());
      }
    } else if (pick === 3 && threads.state === "open" && random.oneIn(4)) {
      threads.state = "absent";
      shards.gone(SHARD);
      isUp = false;
    } else await threads.pause();
  }
  await Promise.all(asked);
  for (let turns = 0; turns < 50; turns += 1) await turn();
  const [shard] = shards.list();
  if (faults.length > 0) throw new Error(faults.join("; "));
  if ((shard?.state === "open") !== isUp) throw new Error(`told up=${isUp}, and it is ${shard?.state}`);
  if ((threads.state === "open") !== isUp)
    throw new Error(`told up=${isUp}, and the threads have it ${threads.state}`);
  if (last === "close" && shard !== undefined)
    throw new Error(`the last was a close, and it is ${shard.state}`);
  if (shard !== undefined && shard.state !== "open") throw new Error(`it stays ${shard.state}`);
}

t.test(
  "whatever is asked and lost in whatever order, what is said to be open is what the threads have open",
  async (t) => {
    const given = givenSeed();
    const base = given ?? Number(process.hrtime.bigint() & 0x3fff_ffffn);
    for (let round = 0; round < (given === undefined ? ROUNDS : 1); round += 1) {
      try {
        await play(seeded(base + round));
      } catch (error) {
        throw new Error(`MILLRACE_SEED=${base + round}: ${(error as Error).message}`, { cause: error });
      }
    }
    t.pass();
  },
);
