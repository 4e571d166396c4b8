import type { GatewayPort, Subscription as NamedSubscription, Topic } from "@millrace/broker/internal";
import type { CommitFrame, FrameWriter, ReleaseFrame } from "@millrace/protocol";
import type { Clock } from "./clock.ts";
import type { ConsumerTable } from "./consumer-table.ts";
import type { DeliveryPath, Report } from "./delivery-path.ts";
import type { Session } from "./session.ts";
import { checkStreamCount } from "./stream-count.ts";

/** What a CONSUME of mode stream comes to, once its subscription is there. */
export interface StreamConsume {
  readonly consumerId: number;
  readonly session: Session;
  readonly topic: Topic;
  readonly subscription: NamedSubscription;
  readonly creditLimit: number;
}

export interface StreamConsumerParts {
  readonly port: GatewayPort;
  readonly clock: Clock;
  readonly writer: FrameWriter;
  readonly delivery: DeliveryPath;
  readonly consumers: ConsumerTable;
  readonly report: Report;
}

/** The members of stream subscriptions on this gateway: what they are assigned, and how they give it back. */
export class StreamConsumers {
  readonly #parts: StreamConsumerParts;

  constructor(parts: StreamConsumerParts) {
    this.#parts = parts;
  }

  /** @throws MillraceError TOO_MANY_SUBSCRIPTIONS */
  checkRoom(session: Session, topic: Topic): void {
    checkStreamCount(session, topic.partitions, this.#parts.delivery);
  }

  /** Takes the consumer on, right after CONSUMING was sent. */
  start(_consume: StreamConsume): void {}

  release(_session: Session, _frame: ReleaseFrame): void {}

  async commit(_session: Session, _frame: CommitFrame): Promise<void> {}
}
