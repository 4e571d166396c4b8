import t from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { monotonicMs } from "../harness/clock.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { startCrashableBroker } from "../harness/crashable-broker.ts";
import { QueueScenario } from "../harness/queue-scenario.ts";
import { SeededRandom, seedOf } from "../harness/seeded-random.ts";
import { TcpRelay } from "../harness/tcp-relay.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { TEST_TARGET } from "../harness/test-target.ts";
import { pauseMs, until } from "../harness/waiting.ts";

/** Times that something fails under load; MILLRACE_ROUNDS sets another number for a long run. */
const ROUNDS = Number(process.env.MILLRACE_ROUNDS ?? 8);
/** On a slow machine fewer will do, but so many at least. */
const ROUNDS_MIN = process.env.MILLRACE_ROUNDS === undefined ? 3 : ROUNDS;
const LOAD_MS = 6_000;
const SHARDS = 4;
/** A broker gives up a shard thread that dies more often. */
const CRASHES_MAX = 8;

/** Lets something fail again and again. */
async function rounds(random: SeededRandom, max: number, fail: () => Promise<void>): Promise<number> {
  const endMs = monotonicMs() + LOAD_MS;
  let round = 0;
  for (; round < max && (round < ROUNDS_MIN || monotonicMs() < endMs); round += 1) {
    await pauseMs(random.between(50, 900));
    await fail();
  }
  return round;
}

t.test("kill -9 under consumers: nothing is lost, nothing that was finished comes again", async (t) => {
  const random = new SeededRandom(seedOf(t));
  const dataDir = temporaryFolder(t);
  let broker = await BrokerProcess.start(t, { dataDir, args: ["--shards", String(SHARDS)] });
  const relay = await TcpRelay.start(t, broker.port);
  const clients = [await connectedClient(t, relay.url), await connectedClient(t, relay.url)] as const;
  const scenario = await QueueScenario.start(t, { random, url: () => broker.url, clients });
  const restart = async (): Promise<void> => {
    await broker.kill();
    broker = await BrokerProcess.start(t, { dataDir });
    scenario.history.life += 1;
    relay.targetPort = broker.port;
  };
  const count = await rounds(random, ROUNDS, restart);
  await scenario.finish();
  await restart();
  await scenario.stayFinished(t);
  await scenario.check(t, `${count} kills`);
  t.same(
    broker.log.filter(({ level }) => level === "error"),
    [],
    "nothing failed inside the broker",
  );
});

// That broker is in this process, whatever the target is.
const skip = TEST_TARGET === "process" ? false : "it has run against one process";

t.test("the same when shard threads die, and sessions live on", { skip }, async (t) => {
  const random = new SeededRandom(seedOf(t));
  const { broker, node, restarts } = await startCrashableBroker(t, temporaryFolder(t), SHARDS, 2);
  const clients = [await connectedClient(t, broker.url), await connectedClient(t, broker.url)] as const;
  const scenario = await QueueScenario.start(t, { random, url: () => broker.url, clients, life: -1 });
  const crash = async (): Promise<void> => {
    const before = restarts();
    await node.crashShardThread(random.below(SHARDS));
    await until(() => restarts() > before, "the shard thread is back");
  };
  const count = await rounds(random, Math.min(ROUNDS, CRASHES_MAX), crash);
  await scenario.finish();
  await crash();
  await scenario.stayFinished(t);
  await scenario.check(t, `${count} crashes`);
  t.same((await broker.status()).failedShards, []);
});
