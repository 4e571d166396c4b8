import t from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { QueueScenario } from "../harness/queue-scenario.ts";
import { SeededRandom, seedOf } from "../harness/seeded-random.ts";
import { TcpRelay } from "../harness/tcp-relay.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { pauseMs } from "../harness/waiting.ts";

/** Times that the broker is killed under load; MILLRACE_ROUNDS sets another number for a long run. */
const ROUNDS = Number(process.env.MILLRACE_ROUNDS ?? 8);

t.test("kill -9 under consumers: nothing is lost, nothing that was finished comes again", async (t) => {
  const random = new SeededRandom(seedOf(t));
  const dataDir = temporaryFolder(t);
  let broker = await BrokerProcess.start(t, { dataDir, args: ["--shards", "4"] });
  const relay = await TcpRelay.start(t, broker.port);
  const clients = [await connectedClient(t, relay.url), await connectedClient(t, relay.url)] as const;
  const scenario = await QueueScenario.start(t, { random, url: () => broker.url, clients });

  const restart = async (): Promise<void> => {
    await broker.kill();
    broker = await BrokerProcess.start(t, { dataDir });
    scenario.history.life += 1;
    relay.targetPort = broker.port;
  };
  for (let round = 1; round <= ROUNDS; round += 1) {
    await pauseMs(random.between(50, 900));
    await restart();
  }
  await scenario.finish();
  await restart();
  await scenario.stayFinished(t);
  await scenario.check(t);
  t.same(
    broker.log.filter(({ level }) => level === "error"),
    [],
    "nothing failed inside the broker",
  );
});
