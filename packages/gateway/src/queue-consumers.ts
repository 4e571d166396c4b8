import type { GatewayPort, Topic } from "@millrace/broker/internal";
import type { Clock } from "./clock.ts";
import type { ConsumerTable } from "./consumer-table.ts";
import type { OutputMeter } from "./output-meter.ts";
import type { Session } from "./session.ts";

/** What a CONSUME of mode queue or keyed comes to, once its subscription is there. */
export interface QueueConsume {
  readonly consumerId: number;
  readonly session: Session;
  readonly topic: Topic;
  readonly subscriptionId: number;
  readonly slots: number;
  readonly creditLimit: number;
}

/** Consumers of the modes queue and keyed: their credit, what they are leased and how they settle it. */
export class QueueConsumers {
  constructor(_port: GatewayPort, _table: ConsumerTable, _clock: Clock, _output: OutputMeter) {}

  /** Takes the consumer on: call checkSlots() before, and this right after CONSUMING was sent. */
  start(_consume: QueueConsume): void {}

  /** @throws MillraceError MALFORMED_FRAME: slots are 1..65535. */
  checkSlots(_slots: number): void {}
}
