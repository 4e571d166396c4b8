import type { Producer } from "@millrace/client";
import { pauseMs } from "../waiting.ts";
import type { PublisherPlan } from "./load-plan.ts";
import { contentOf, loadValue } from "./load-record.ts";
import type { LoadRole, RoleContext } from "./load-role.ts";

const TICK_MS = 20;
/** What a broker that is away leaves waiting does not grow for ever. */
const IN_FLIGHT_MAX = 1_000;

/** Publishes numbered records, and writes down what became of each. */
export class Publisher implements LoadRole {
  readonly #plan: PublisherPlan;
  readonly #context: RoleContext;
  readonly #producer: Producer;
  readonly #sending: Set<Promise<void>> = new Set();
  readonly #running: Promise<void>;
  #number = 0;
  #isRunning = true;

  constructor(plan: PublisherPlan, context: RoleContext) {
    this.#plan = plan;
    this.#context = context;
    this.#producer = context.client.producer(plan.topic, {
      batchBytes: 16_384,
      retryBackoffMs: 5,
      retryBackoffMaxMs: 100,
    });
    this.#running = this.#run();
  }

  async settle(): Promise<void> {
    this.#isRunning = false;
    await this.#running;
    await Promise.all(this.#sending);
  }

  tame(): void {}

  async stop(): Promise<void> {
    await this.settle();
  }

  async #run(): Promise<void> {
    const perTick = Math.ceil((this.#plan.recordsPerSecond * TICK_MS) / 1_000);
    while (this.#isRunning) {
      const { random } = this.#context;
      for (let n = random.below(2 * perTick + 1); n > 0 && this.#sending.size < IN_FLIGHT_MAX; n -= 1) {
        const sending = this.#send();
        this.#sending.add(sending);
        void sending.then(() => this.#sending.delete(sending));
      }
      await pauseMs(TICK_MS);
    }
  }

  async #send(): Promise<void> {
    const { random, history } = this.#context;
    const { name, topic, keys, partitions } = this.#plan;
    const number = this.#number;
    this.#number += 1;
    const key = keys === 0 || random.below(8) === 0 ? undefined : `key-${random.below(keys)}`;
    const value = loadValue(name, number, this.#valueBytes());
    const partition = keys === 0 ? random.below(partitions) : undefined;
    history.write({ what: "sent", topic, ...contentOf(key, value) });
    try {
      const ack = await this.#producer.send({ key, value, partition });
      const { offset } = ack;
      history.write({ what: "acked", topic, partition: ack.partition, offset, producer: name, number });
    } catch (error) {
      const code = (error as { code?: string }).code ?? String(error);
      history.write({ what: "failed", topic, producer: name, number, code });
    }
  }

  /** Most are small, and a few are large. */
  #valueBytes(): number {
    const { random } = this.#context;
    return random.below(50) === 0 ? random.below(this.#plan.valueBytesMax) : random.below(200);
  }
}
