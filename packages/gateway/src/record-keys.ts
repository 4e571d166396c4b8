import type { GatewayPort, Topic } from "@millrace/broker/internal";
import { BatchReader, DeliverReader, FRAME_TYPE, LIMITS, readFrameType } from "@millrace/protocol";
import type { Clock } from "./clock.ts";
import type { DeliveryPath } from "./delivery-path.ts";
import { GATEWAY_LIMITS } from "./limits.ts";
import { SENT, type SendOutcome, type Socket } from "./listener.ts";
import { Session, type SessionHost } from "./session.ts";
import { Subscription } from "./subscription.ts";

type Key = string | Uint8Array | null;

/** A socket whose client is this gateway: it hands over the first frame that says anything of records. */
class FirstDelivery implements Socket {
  readonly delivery: Promise<Uint8Array | undefined>;
  #resolve: ((frame: Uint8Array | undefined) => void) | undefined;

  constructor() {
    this.delivery = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  send(frame: Uint8Array): SendOutcome {
    const type = readFrameType(frame, 0, frame.length);
    // Ring memory: gone after the call.
    if (type === FRAME_TYPE.DELIVER) this.#resolve?.(frame.slice());
    else if (type === FRAME_TYPE.PROGRESS || type === FRAME_TYPE.ERROR) this.#resolve?.(undefined);
    return SENT;
  }

  bufferedAmount(): number {
    return 0;
  }

  end(): void {
    this.#resolve?.(undefined);
  }

  close(): void {
    this.#resolve?.(undefined);
  }
}

/** Looks up keys of single records, by reading them as a client would. For what people ask, not for data paths. */
export class RecordKeys {
  readonly #port: GatewayPort;
  readonly #clock: Clock;
  readonly #delivery: DeliveryPath;
  readonly #host: SessionHost;

  constructor(port: GatewayPort, clock: Clock, delivery: DeliveryPath, host: SessionHost) {
    this.#port = port;
    this.#clock = clock;
    this.#delivery = delivery;
    this.#host = host;
  }

  /** Null when the record has no key, is gone, or cannot be read in time. */
  async keyOf(topic: Topic, partition: number, offset: number): Promise<Key> {
    const [bounds] = await this.#port.bounds(topic, [partition]);
    if (bounds === undefined || offset < bounds.logStartOffset || offset >= bounds.highWatermark) return null;
    const socket = new FirstDelivery();
    const session = new Session(0, socket, this.#host, 0);
    const subscription = new Subscription(session, 0, LIMITS.deliverFrameBytesMax);
    this.#delivery.open(subscription, topic, [bounds], [offset]);
    this.#delivery.start(subscription);
    const stopWaiting = this.#clock.after(GATEWAY_LIMITS.keyLookupMsMax, () => socket.close());
    const frame = await socket.delivery;
    stopWaiting();
    this.#delivery.end(subscription);
    return frame === undefined ? null : keyIn(frame, offset);
  }
}

function keyIn(frame: Uint8Array, offset: number): Key {
  const entries = new DeliverReader();
  entries.reset(frame, 0, frame.length);
  while (entries.next()) {
    const { baseOffset, count } = entries;
    if (offset < baseOffset || offset >= baseOffset + count) continue;
    const batch = new BatchReader();
    batch.reset(frame, entries.batchStart, entries.entryEnd);
    return batch.recordAt(offset - baseOffset).key ?? null;
  }
  return null;
}
