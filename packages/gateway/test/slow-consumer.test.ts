import t from "tap";
import { storedBatch } from "./support/batches.ts";
import { serve } from "./support/served.ts";
import { WireClient } from "./support/wire-client.ts";

const BATCHES = 150;
const BATCH_BYTES = 100_000;

/** Takes DELIVER frames until `batches` have come, and checks their order. */
async function readAll(client: WireClient, batches: number): Promise<number[]> {
  const offsets: number[] = [];
  while (offsets.length < batches) {
    const { entries } = await client.next("DELIVER");
    offsets.push(...entries.map(({ baseOffset }) => baseOffset));
  }
  return offsets;
}

t.test("on real sockets a reader that stops reading holds up nobody, and loses nothing", async (t) => {
  const { broker, node } = await serve((close) => t.teardown(close));
  const topic = node.addTopic("flights");
  const subscribe = async (): Promise<WireClient> => {
    const client = await WireClient.connect(broker.url);
    client.send({
      name: "SUBSCRIBE",
      value: {
        requestId: 1,
        subscriptionId: 1,
        topic: "flights",
        from: { kind: "earliest" },
        creditLimit: 10 * BATCHES * BATCH_BYTES,
        mode: "stream",
        extensions: {},
      },
    });
    await client.next("SUBSCRIBED");
    return client;
  };
  const fast = await subscribe();
  const slow = await subscribe();
  await slow.roundTrip();
  slow.socket.pause();
  const expected = Array.from({ length: BATCHES }, (_, offset) => offset);
  const reading = readAll(fast, BATCHES);
  for (const offset of expected) {
    node.append(topic, 0, 1, storedBatch(new Uint8Array(BATCH_BYTES).fill(offset)));
    // One at a time, so that the tail group is what delivers.
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.same(await reading, expected);
  await fast.roundTrip();
  slow.socket.resume();
  t.same(await readAll(slow, BATCHES), expected);
});
