import type { Client } from "@millrace/client";
import type { Test } from "tap";
import type { BrokerProcess } from "./broker-process.ts";
import { connectedClient } from "./connected-client.ts";
import { readAll } from "./reading.ts";

const TOPIC = "witness";

/** A well-behaved client beside those that misbehave: it must never notice them. */
export class Witness {
  readonly #broker: BrokerProcess;
  readonly #client: Client;
  readonly #noises: string[] = [];
  #sent = 0;

  private constructor(broker: BrokerProcess, client: Client) {
    this.#broker = broker;
    this.#client = client;
    client.on("disconnected", (error) => this.#noises.push(`disconnected: ${error.message}`));
  }

  static async start(t: Test, broker: BrokerProcess): Promise<Witness> {
    const client = await connectedClient(t, broker.url);
    await client.topics.create(TOPIC, { partitions: 2 });
    return new Witness(broker, client);
  }

  /** Publishes and reads; fails the test if that does not work, or if the broker reported a failure of its own. */
  async check(t: Test, when: string): Promise<void> {
    const producer = this.#client.producer(TOPIC, { lingerMs: 0 });
    await Promise.all([0, 1].map((partition) => producer.send({ value: this.#sent, partition })));
    this.#sent += 1;
    const records = await readAll(this.#client, TOPIC);
    await producer.close();
    t.same(this.#noises, [], `${when}: a client that does nothing wrong is left alone`);
    const right = records.filter(({ value, offset }) => value === offset).length;
    t.same([records.length, right], [2 * this.#sent, 2 * this.#sent], `${when}: and can publish and read`);
    const failures = this.#broker.log.filter(({ level }) => level === "error");
    t.same(failures, [], `${when}: nothing failed inside the broker`);
  }
}
