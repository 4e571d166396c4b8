import type { Message } from "@millrace/client";
import t from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { TcpRelay } from "../harness/tcp-relay.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { pauseMs, until } from "../harness/waiting.ts";

const COUNT = 1_200;
const KEYS = 12;
const CUTS = 8;

const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t) });
const admin = await connectedClient(t, broker.url);

/** What the handlers of all consumers see, and what of it is not as promised. */
class Witness {
  readonly seen: Set<string> = new Set();
  readonly problems: string[] = [];
  readonly #acked: Set<string> = new Set();
  readonly #begun: Map<string, number> = new Map();
  readonly #atWork: Map<string, Message> = new Map();
  /**
   * Those beside which another of their key came, and the other way round. The broker learns first that a connection is cut,
   * and may hand its keys to the other before the client learns it, or has read what it was given last: only if both
   * are acked was the key lent twice.
   */
  readonly #beside: Map<Message, Message> = new Map();
  readonly #ackedMessages: Set<Message> = new Set();
  readonly #mode: string;

  constructor(mode: string) {
    this.#mode = mode;
  }

  readonly handle = async (message: Message): Promise<void> => {
    const id = message.value as string;
    const key = message.key as string;
    if (this.#mode !== "stream" && this.#acked.has(id)) this.problems.push(`${id} came after its ack`);
    if (this.#mode === "keyed") this.#checkOrder(message, key, Number(id.split(":")[1]));
    this.seen.add(id);
    await pauseMs(this.seen.size % 3);
    if (this.#atWork.get(key) === message) this.#atWork.delete(key);
    const isAlone = !this.#beside.has(message);
    if (message.offset % 23 === 0 && message.deliveryCount === 1 && isAlone) {
      throw new Error("as it happens");
    }
    await message.ack();
    this.#acked.add(id);
    this.#ackedMessages.add(message);
    const other = this.#beside.get(message);
    if (other !== undefined && this.#ackedMessages.has(other)) {
      this.problems.push(`${other.value} beside ${message.value}, and both were acked`);
    }
  };

  #checkOrder(message: Message, key: string, index: number): void {
    const begun = this.#begun.get(key) ?? -1;
    if (index > begun + 1) this.problems.push(`${message.value} after ${key}:${begun}`);
    this.#begun.set(key, Math.max(begun, index));
    const other = this.#atWork.get(key);
    if (other !== undefined && !other.signal.aborted) {
      this.#beside.set(other, message);
      this.#beside.set(message, other);
    }
    this.#atWork.set(key, message);
  }
}

for (const mode of ["queue", "keyed", "stream"] as const) {
  t.test(`${mode}: over lost connections nothing is lost, and nothing comes after its ack`, async (t) => {
    const topic = `cut-${mode}`;
    await admin.topics.create(topic, { partitions: 4, durability: "written" });
    const settings = { leaseMs: 1_000, maxDeliveries: 0, backoffMinMs: 1, backoffMaxMs: 10 };
    await admin.subscriptions.create(topic, "s", { mode, from: "earliest", ...settings });
    const relays = await Promise.all([0, 1].map(() => TcpRelay.start(t, broker.port)));
    const witness = new Witness(mode);
    const consumers = await Promise.all(
      relays.map(async ({ url }) => {
        const client = await connectedClient(t, url);
        return client.consume(topic, { subscription: "s", commitIntervalMs: 50 }, witness.handle, {
          concurrency: 8,
        });
      }),
    );
    const producer = admin.producer(topic);
    for (let cut = 0, i = 0; cut < CUTS; cut += 1) {
      for (; i < ((cut + 1) * COUNT) / CUTS; i += 1) {
        void producer.append({ key: `k${i % KEYS}`, value: `k${i % KEYS}:${Math.floor(i / KEYS)}` });
      }
      await producer.flush();
      await pauseMs(100);
      relays[cut % 2]?.cut();
    }
    await until(
      async () => witness.seen.size === COUNT && (await admin.subscriptions.describe(topic, "s")).lag === 0,
      "everything is consumed",
    );
    t.same(witness.problems, []);
    await Promise.all(consumers.map((consumer) => consumer.close()));
    await until(
      async () => (await admin.subscriptions.describe(topic, "s")).consumers === 0,
      "all have left",
    );
  });
}
