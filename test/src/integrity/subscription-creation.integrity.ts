import t from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { monotonicMs } from "../harness/clock.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { RawClient } from "../harness/raw-client.ts";
import { SeededRandom, seedOf } from "../harness/seeded-random.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { TEST_TARGET } from "../harness/test-target.ts";
import { inTime, pauseMs } from "../harness/waiting.ts";

const PARTITIONS = 16;
/** Times that the broker is killed while it makes a subscription; MILLRACE_ROUNDS sets another number. */
const ROUNDS = Number(process.env.MILLRACE_ROUNDS ?? (TEST_TARGET === "process" ? 5 : 3));

// A subscription is a record of the catalog and a start on each shard: what a kill leaves of them must not begin elsewhere
// than it was told, since a topic may be about to drop what all its subscriptions have behind them.
t.test(
  "a subscription that is being made when the broker is killed begins where it was told, or is not there",
  async (t) => {
    const random = new SeededRandom(seedOf(t));
    const dataDir = temporaryFolder(t);
    let broker = await BrokerProcess.start(t, { dataDir, args: ["--shards", "4"] });
    let client = await connectedClient(t, broker.url);
    await client.topics.create("jobs", { partitions: PARTITIONS, retention: "acknowledged" });
    const producer = client.producer("jobs");
    for (let partition = 0; partition < PARTITIONS; partition += 1)
      await producer.send({ partition, value: "x" });
    const startMs = monotonicMs();
    const settings = { mode: "queue", from: "earliest" } as const;
    await client.subscriptions.create("jobs", "first", settings);
    const tookMs = Math.ceil(monotonicMs() - startMs);

    let confirmed = 0;
    for (let round = 1; round <= ROUNDS; round += 1) {
      const name = `s${round}`;
      const raw = await RawClient.connect(t, broker.url);
      const create = { mode: "queue", from: ["earliest"] };
      const consume = { topic: "jobs", subscription: name, mode: "queue", slots: 1, creditLimit: 100_000 };
      raw.send("CONSUME", { requestId: raw.nextRequestId(), ...consume, create, extensions: {} });
      await pauseMs(random.below(tookMs + 5));
      await broker.kill();
      await inTime(raw.closed, "the connection to break");
      const isConfirmed = raw.history.some(({ frame }) => frame.name === "CONSUMING");
      if (isConfirmed) confirmed += 1;
      await client.close();
      broker = await BrokerProcess.start(t, { dataDir });
      client = await connectedClient(t, broker.url);
      const names = (await client.subscriptions.list("jobs")).map((one) => one.name);
      if (isConfirmed) t.ok(names.includes(name), `${name} was confirmed`);
      if (!names.includes(name)) await client.subscriptions.create("jobs", name, settings);
      for (const one of [...names, name]) {
        const { lag } = await client.subscriptions.describe("jobs", one);
        t.equal(lag, PARTITIONS, `round ${round}, ${one}: everything is before it`);
      }
    }
    t.comment(`${confirmed} of ${ROUNDS} were confirmed before the kill, in up to ${tookMs} ms`);
  },
);
