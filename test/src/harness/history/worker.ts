import type { Consumer, Message } from "@millrace/client";
import { pauseMs } from "../waiting.ts";
import type { LeaseName } from "./history-event.ts";
import type { WorkerPlan } from "./load-plan.ts";
import { contentOf } from "./load-record.ts";
import type { LoadRole, RoleContext } from "./load-role.ts";

/** Errors after which nobody can know whether it was done. */
const UNKNOWN: readonly string[] = ["CONNECTION_LOST", "SHARD_RESTARTED", "CLOSED"];

/** A worker of a queue, whose messages are acked for the most part, and some nacked or released. */
export class Worker implements LoadRole {
  readonly #plan: WorkerPlan;
  readonly #context: RoleContext;
  readonly #consumer: Consumer;
  #isTame = false;

  constructor(plan: WorkerPlan, context: RoleContext) {
    const { name, topic, subscription, mode, concurrency } = plan;
    this.#plan = plan;
    this.#context = context;
    this.#consumer = context.client.consume(
      topic,
      { subscription, mode },
      (message) => this.#handle(message),
      { concurrency },
    );
    this.#consumer.closed.catch((error: unknown) => {
      context.history.write({ what: "problem", text: `${name} ended: ${String(error)}` });
    });
  }

  async settle(): Promise<void> {}

  tame(): void {
    this.#isTame = true;
  }

  async stop(): Promise<void> {
    await this.#consumer.close({ timeoutMs: 1_000 });
  }

  async #handle(message: Message): Promise<void> {
    const { random, history } = this.#context;
    const { name: worker, subscription } = this.#plan;
    const { topic, partition, offset, deliveryCount, key, value } = message;
    const lease = leaseOf(message);
    const place = { topic, partition, offset };
    const common = { worker, subscription, ...place, ...lease };
    history.write({ what: "leased", ...common, deliveryCount, ...contentOf(key, value) });
    const fate = this.#isTame ? 0 : random.below(100);
    if (!this.#isTame) await pauseMs(random.below(10));
    const action = fate < 94 ? "ack" : fate < 97 ? "nack" : "release";
    history.write({ what: "settle", ...common, action });
    let outcome = "done";
    try {
      if (action === "nack") await message.nack({ delayMs: random.below(50) });
      else await message[action]();
    } catch (error) {
      outcome = (error as { code?: string }).code ?? String(error);
      if (outcome !== "LEASE_EXPIRED" && !UNKNOWN.includes(outcome))
        history.write({ what: "problem", text: `${worker}: ${action} failed: ${String(error)}` });
    }
    history.write({ what: "settled", ...common, action, outcome });
  }
}

/** The client knows what its lease is called and shows nobody: applications have no use for it, a history has. */
function leaseOf(message: Message): LeaseName {
  const { lease } = message as Message & {
    readonly lease: { readonly leaseEpoch: number; readonly leaseCounter: number };
  };
  return { epoch: lease.leaseEpoch, counter: lease.leaseCounter };
}
