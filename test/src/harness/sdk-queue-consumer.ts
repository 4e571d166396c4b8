import type { Client, Consumer, Message } from "@millrace/client";
import { ERROR_CODES } from "@millrace/protocol";
import { LEASE_MS, type QueueConsumerOptions, subscriptionConfig } from "./queue-consumer.ts";
import type { QueueDelivery, Settling } from "./queue-history.ts";
import { pauseMs } from "./waiting.ts";

/** Takes part in a subscription as an application does, with a handler, and writes down what it is given and what it calls. */
export class SdkQueueConsumer {
  readonly #options: Omit<QueueConsumerOptions, "url">;
  readonly #consumer: Consumer;
  #isTame = false;

  constructor(client: Client, options: Omit<QueueConsumerOptions, "url">) {
    this.#options = options;
    const { topic, subscription, mode, slots } = options;
    const { from: _, mode: __, ...config } = subscriptionConfig(mode);
    this.#consumer = client.consume(
      topic,
      { subscription, mode, from: "earliest", ...config },
      (message) => this.#handle(message),
      { concurrency: slots },
    );
    this.#consumer.closed.catch((error: unknown) => {
      options.history.problems.push(`${options.name} ended: ${String(error)}`);
    });
  }

  /** From now on it acks what can be worked on. */
  tame(): void {
    this.#isTame = true;
  }

  async stop(): Promise<void> {
    await this.#consumer.close({ timeoutMs: 100 });
  }

  async #handle(message: Message): Promise<void> {
    const { history, name, subscription, random, isPoison, topic } = this.#options;
    const { partition, offset, deliveryCount } = message;
    const value = Buffer.from(message.value as Uint8Array).toString();
    const isRedriven = message.topic !== topic;
    const what = { consumer: name, topic, subscription, partition, offset, deliveryCount, value, isRedriven };
    const delivery = history.delivered({ ...what, leaseEpoch: undefined, leaseCounter: undefined }, LEASE_MS);
    message.signal.addEventListener("abort", () => history.lost(delivery));
    if (isPoison(value)) {
      history.settles(delivery, "nack");
      throw new Error("poison");
    }
    if (this.#isTame) return this.#settle(delivery, "ack", () => message.ack());
    const fate = random.below(100);
    // Longer than a lease: it is renewed meanwhile.
    await pauseMs(fate === 0 ? LEASE_MS + 500 : random.below(20));
    if (delivery.lostOrder !== undefined) return;
    if (fate < 85) return this.#settle(delivery, "ack", () => message.ack());
    if (fate < 95) return this.#settle(delivery, "nack", () => message.nack({ delayMs: random.below(100) }));
    if (fate < 99) return this.#settle(delivery, "release", () => message.release());
    return this.#settle(delivery, "dead", () => message.deadLetter("no use"));
  }

  async #settle(delivery: QueueDelivery, settling: Settling, call: () => Promise<void>): Promise<void> {
    const { history, name } = this.#options;
    history.settles(delivery, settling);
    try {
      await call();
      history.answered(delivery, 0);
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === "LEASE_EXPIRED") history.answered(delivery, ERROR_CODES.LEASE_EXPIRED.code);
      else if (code !== "CONNECTION_LOST" && code !== "SHARD_RESTARTED" && code !== "CLOSED")
        history.problems.push(`${name}: ${settling} failed with ${code ?? String(error)}`);
    }
  }
}
