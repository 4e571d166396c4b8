import type { Consumer, ConsumerError, Message } from "@millrace/client";
import { pauseMs } from "../waiting.ts";
import type { MemberPlan } from "./load-plan.ts";
import { contentOf } from "./load-record.ts";
import type { LoadRole, RoleContext } from "./load-role.ts";

const COMMIT_EVERY_MS = 100;

/** Errors after which nobody can know whether the commit was done. */
const UNKNOWN: readonly string[] = [
  "CONNECTION_LOST",
  "SHARD_RESTARTED",
  "CLOSED",
  "TIMEOUT",
  "UNKNOWN_CONSUMER",
];

/** A member of a stream subscription: reads what it is assigned, and commits again and again. */
export class Member implements LoadRole {
  readonly #plan: MemberPlan;
  readonly #context: RoleContext;
  readonly #consumer: Consumer;
  /** What it holds: where the next record of each partition is. */
  readonly #next: Map<number, number> = new Map();
  /** Partitions about whose commit under way nothing can be said. */
  readonly #unsure: Set<number> = new Set();
  readonly #committing: Promise<void>;
  #isStopped = false;

  constructor(plan: MemberPlan, context: RoleContext) {
    const { name, topic, subscription } = plan;
    const { client, history } = context;
    this.#plan = plan;
    this.#context = context;
    this.#consumer = client.consume(
      topic,
      {
        subscription,
        mode: "stream",
        autoCommit: false,
        onGap: ({ partition, fromOffset, toOffset, reason }) => {
          const gap = { topic, partition, fromOffset, toOffset, reason };
          history.write({ what: "gap", reader: name, ...gap });
        },
      },
      (message) => this.#handle(message),
      { concurrency: 8 },
    );
    this.#consumer.on("assigned", ({ partition, offset }) => {
      this.#unsure.add(partition);
      this.#next.set(partition, offset);
      const place = { topic, partition, offset };
      history.write({ what: "start", reader: name, subscription, isFinal: false, ...place });
    });
    this.#consumer.on("revoked", ({ partition }) => {
      this.#unsure.add(partition);
      this.#next.delete(partition);
    });
    this.#consumer.on("error", (error) => this.#onError(error));
    this.#consumer.closed.catch((error: unknown) => {
      history.write({ what: "problem", text: `${name} ended: ${String(error)}` });
    });
    this.#committing = this.#commitNowAndThen();
  }

  async settle(): Promise<void> {}

  tame(): void {}

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#committing;
    await this.#consumer.close({ timeoutMs: 1_000 });
  }

  #handle({ topic, partition, offset, key, value }: Message): void {
    const place = { topic, partition, offset };
    this.#context.history.write({
      what: "read",
      reader: this.#plan.name,
      ...place,
      ...contentOf(key, value),
    });
    if (this.#next.has(partition)) this.#next.set(partition, offset + 1);
  }

  async #commitNowAndThen(): Promise<void> {
    while (!this.#isStopped) {
      await pauseMs(COMMIT_EVERY_MS);
      await this.#commit();
    }
  }

  /** Writes down the positions that this commit has made durable for certain. */
  async #commit(): Promise<void> {
    const { name, topic, subscription } = this.#plan;
    const { history } = this.#context;
    this.#unsure.clear();
    const positions = [...this.#next];
    try {
      await this.#consumer.commit();
    } catch (error) {
      const code = (error as { code?: string }).code ?? String(error);
      if (!UNKNOWN.includes(code))
        history.write({ what: "problem", text: `${name}: a commit failed: ${String(error)}` });
      return;
    }
    for (const [partition, offset] of positions) {
      if (this.#unsure.has(partition)) continue;
      history.write({ what: "committed", reader: name, subscription, topic, partition, offset });
    }
  }

  #onError({ error }: ConsumerError): void {
    const partition = (error as { details?: { partition?: unknown } }).details?.partition;
    if (typeof partition === "number") this.#unsure.add(partition);
  }
}
