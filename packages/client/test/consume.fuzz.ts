import type { MillraceError } from "@millrace/protocol";
import t from "tap";
import { connectOn } from "../src/connect.ts";
import type { Consumer, Message } from "../src/index.ts";
import { ManualClock, microtasks } from "./manual-clock.ts";
import { MemoryNetwork } from "./memory-transport.ts";
import { ModelQueue } from "./model-queue.ts";
import { Seeded, seeds } from "./seeded.ts";

const PARTITIONS = 3;
const RECORDS_EACH = 20;
const STEPS = 500;
const NEVER_MS = 1_000_000_000;
/** Rejections that are no fault of the client's. */
const FAIR: ReadonlySet<string> = new Set(["LEASE_EXPIRED", "CONNECTION_LOST", "SHARD_RESTARTED", "CLOSED"]);

/** The application: messages at work, and what it was told of them. */
class Application {
  readonly problems: string[] = [];
  readonly atWork: { message: Message; end: (fails: boolean) => void }[] = [];
  readonly #random: Seeded;
  readonly #queue: ModelQueue;

  constructor(random: Seeded, queue: ModelQueue) {
    this.#random = random;
    this.#queue = queue;
  }

  readonly handle = (message: Message): Promise<void> => {
    const { partition, offset, value } = message;
    if (value !== `${partition}:${offset}`) this.problems.push(`${value} at ${partition}@${offset}`);
    return new Promise((resolve, reject) => {
      const end = (fails: boolean): void => (fails ? reject(new Error("as it happens")) : resolve());
      this.atWork.push({ message, end });
    });
  };

  /** One of the messages at work is settled by hand, or is given more time. */
  act(message: Message): void {
    const what = this.#random.below(10);
    if (what < 5) this.#watch(message, message.ack(), "acked");
    else if (what < 6) this.#watch(message, message.nack({ delayMs: 5 }), undefined);
    else if (what < 7) this.#watch(message, message.release(), undefined);
    else if (what < 8) this.#watch(message, message.deadLetter("bad"), "dead");
    else this.#watch(message, message.extend(1 + this.#random.below(5_000)), undefined);
  }

  /** One of the messages at work is done with. */
  finishOne(mayFail: boolean): void {
    const [one] = this.atWork.splice(this.#random.below(this.atWork.length), 1);
    one?.end(mayFail && this.#random.chance(0.2));
  }

  #watch(message: Message, promise: Promise<void>, end: "acked" | "dead" | undefined): void {
    const { partition, offset } = message;
    promise.then(
      () => {
        const record = this.#queue.find(partition, offset);
        // The promise may be an earlier one, of another message of the same record.
        if (end !== undefined && record.end === undefined)
          this.problems.push(`${partition}@${offset} is not ${end}`);
      },
      (error: MillraceError) => {
        if (!FAIR.has(error.code))
          this.problems.push(`${partition}@${offset}: ${error.code} ${error.message}`);
      },
    );
  }
}

/** One run: random work, expiries and lost connections, then peace and a close. Returns what was wrong. */
async function run(seed: number, forgets: boolean): Promise<string[]> {
  const random = new Seeded(seed);
  const clock = new ManualClock();
  const network = new MemoryNetwork();
  const queue = new ModelQueue(PARTITIONS, RECORDS_EACH, () => random.fraction(), forgets);
  const app = new Application(random, queue);
  const entropy = { fraction: () => random.fraction(), producerId: () => 1 };
  const connecting = connectOn({ connectTransport: network.connect, clock, entropy }, "ws://model", {
    connectTimeoutMs: NEVER_MS,
    retryFirstConnect: true,
    pingIntervalMs: NEVER_MS,
    deadAfterMs: NEVER_MS,
  });
  const settle = async (): Promise<void> => {
    await microtasks();
    for (let more = true; more; await microtasks()) {
      clock.advance(0);
      more = network.last.deliver();
      while (!network.last.isClosed && queue.step(network.last)) more = true;
      queue.flush();
      queue.dispatch();
      if (!more) more = network.last.undelivered > 0 && !network.last.isClosed;
    }
  };
  await settle();
  const client = await connecting;
  const concurrency = 1 + random.below(4);
  const options = {
    subscription: "s",
    mode: "queue",
    prefetch: concurrency + random.below(6),
    maxLeaseMs: 20_000,
  } as const;
  const consumer: Consumer = client.consume("t", options, app.handle, { concurrency });

  for (let step = 0; step < STEPS; step += 1) {
    const session = network.last;
    const what = random.below(100);
    if (what < 20) for (let i = random.below(4); i >= 0 && !session.isClosed; i -= 1) queue.step(session);
    else if (what < 40) for (let i = random.below(4); i >= 0; i -= 1) session.deliver();
    else if (what < 50) queue.dispatch();
    else if (what < 60) queue.flush();
    else if (what < 70) app.finishOne(true);
    else if (what < 78 && app.atWork.length > 0) {
      app.act((app.atWork[random.below(app.atWork.length)] as { message: Message }).message);
    } else if (what < 92) clock.advance(random.below(100));
    else if (what < 94) clock.advance(random.below(1_000));
    else if (what < 96) queue.expireOne();
    else if (what < 97) queue.fail();
    else if (what < 98) network.isUp = !network.isUp;
    else if (random.chance(0.5)) {
      queue.onCut();
      session.cut();
    }
    if (app.atWork.length > concurrency) app.problems.push(`${app.atWork.length} at once`);
    await microtasks();
  }

  network.isUp = true;
  const isDone = (): boolean => queue.records.every(({ end }) => end !== undefined);
  for (let round = 0; round < 500 && !isDone(); round += 1) {
    await settle();
    while (app.atWork.length > 0) app.finishOne(false);
    await settle();
    if (!isDone()) clock.advance(Math.min(10_000, Math.max(1, clock.nextInMs)));
  }
  let isClosed = false;
  void consumer.close().then(() => {
    isClosed = true;
  });
  for (let round = 0; round < 5 && !isClosed; round += 1) {
    await settle();
    while (app.atWork.length > 0) app.finishOne(false);
    await settle();
  }
  const problems = [...queue.violations, ...app.problems];
  if (!isDone()) problems.push("not everything was consumed");
  if (!isClosed) problems.push("the consumer did not close");
  if (queue.consumerCount > 0) problems.push("the broker still has a consumer");
  void client.close();
  await settle();
  if (clock.pending > 0) problems.push(`${clock.pending} timers are left`);
  return problems;
}

// Outside of t.test: tap follows every promise made inside, which costs ten times as much as the runs themselves.
const failures: string[] = [];
for (const seed of seeds(100)) {
  const found = await run(seed, false);
  if (found.length > 0) failures.push(`seed ${seed}: ${found.slice(0, 5).join("; ")}`);
}
let noticed = 0;
for (const seed of seeds(10)) if ((await run(seed, true)).length > 0) noticed += 1;

t.test(
  "whatever happens, every message is settled once under its lease, and nothing is left behind",
  async (t) => {
    t.same(failures, []);
  },
);

t.test("a broker that forgets to answer is noticed", async (t) => {
  t.ok(noticed > 0);
});
