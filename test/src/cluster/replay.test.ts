import t from "tap";
import { connectedClient } from "../harness/connected-client.ts";
import { PlayedSupervisor } from "../harness/played-supervisor.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { pauseMs } from "../harness/waiting.ts";

/** More than what stays in memory, so that readers are served from files. */
const RECORDS = 3_000;
const VALUE_BYTES = 8_000;
const PAUSE_RECORDS = 250;

t.test("who reads from files goes on without a gap or a repeat while the shard moves", async (t) => {
  const cluster = await PlayedSupervisor.start(t, temporaryFolder(t), 2, 2);
  const clients = await Promise.all([0, 1].map((nodeId) => connectedClient(t, cluster.url(nodeId))));
  const [here] = clients;
  await here?.topics.create("old", { partitions: 2, durability: "written" });
  const producer = here?.producer("old");
  const value = Buffer.alloc(VALUE_BYTES, 7);
  for (let n = 0; n < RECORDS; n += PAUSE_RECORDS) {
    await Promise.all(
      Array.from({ length: PAUSE_RECORDS }, (_, i) => producer?.send({ partition: i % 2, value })),
    );
  }
  let reading = true;
  const reads = Promise.all(
    clients.map(async (client) => {
      const next = [0, 0];
      let read = 0;
      for await (const { partition, offset } of client.subscribe("old", {
        from: "earliest",
        untilEnd: true,
      })) {
        if (offset !== next[partition])
          throw new Error(`partition ${partition}: ${next[partition]} ${offset}`);
        next[partition] = offset + 1;
        read += 1;
        if (read % PAUSE_RECORDS === 0) await pauseMs(50);
      }
      return next;
    }),
  ).finally(() => {
    reading = false;
  });
  // Its failure is heard of below.
  reads.catch(() => {});
  let moves = 0;
  while (reading) {
    await cluster.move(1, moves % 2);
    moves += 1;
    await pauseMs(50);
  }
  t.ok(moves > 1, `${moves} moves`);
  t.same(await reads, [
    [RECORDS / 2, RECORDS / 2],
    [RECORDS / 2, RECORDS / 2],
  ]);
});
