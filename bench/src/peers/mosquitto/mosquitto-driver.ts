/**
 * Mosquitto over MQTT 3.1.1. QoS 1: acknowledged is what the broker has sent a PUBACK for. QoS 0 has no acks: acknowledged is
 * what was published before a message of QoS 1 to a topic without subscribers whose PUBACK has come, one for many records.
 */
import type {
  Consumer,
  ConsumerEvents,
  Driver,
  DriverSettings,
  Publisher,
  PublisherEvents,
} from "@millrace/load";
import mqtt, { type MqttClient } from "mqtt";
import { InFlightWindow } from "../in-flight-window.ts";
import { ValueCopies } from "../value-copies.ts";

const RECORDS_BETWEEN_MARKS_MAX = 500;
const BYTES_BETWEEN_MARKS = 64 * 1024;
const MARKS_IN_FLIGHT = 2;
/** At a low rate: how long a record waits for the mark behind it. Only the publisher's own ack latency shows it. */
const MARK_DELAY_MS = 5;
/** QoS 1: publishes without a PUBACK: more than a round trip needs; the protocol's limit is 65,535. */
const PUBLISHES_IN_FLIGHT = 1000;
const MARK_TOPIC = "bench/mark";
const EMPTY: Buffer = Buffer.alloc(0);

type Qos = 0 | 1;

function qosOf(settings: DriverSettings): Qos {
  return settings.options.qos === 1 ? 1 : 0;
}

async function connect(
  { host, port }: DriverSettings["endpoint"],
  failed: (error: Error) => void,
): Promise<MqttClient> {
  const client = await mqtt.connectAsync(`mqtt://${host}:${port}`, {
    protocolVersion: 4,
    clean: true,
    reconnectPeriod: 0,
    keepalive: 300,
    // Not to be kept in a store until it is acknowledged: a lost connection ends the run anyway.
    queueQoSZero: false,
  });
  client.on("error", failed);
  return client;
}

class MqttPublisher implements Publisher {
  readonly #client: MqttClient;
  readonly #topic: string;
  readonly #qos: Qos;
  readonly #copies: ValueCopies | undefined;
  readonly #window: InFlightWindow;
  readonly #recordsBetweenMarks: number;
  #unmarked = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(client: MqttClient, settings: DriverSettings, events: PublisherEvents) {
    const { target, stamped, valueBytes } = settings;
    this.#client = client;
    this.#topic = target;
    this.#qos = qosOf(settings);
    this.#copies = stamped ? new ValueCopies() : undefined;
    const fitting = Math.ceil(BYTES_BETWEEN_MARKS / valueBytes);
    this.#recordsBetweenMarks = Math.min(RECORDS_BETWEEN_MARKS_MAX, fitting);
    const limit = this.#qos === 0 ? this.#recordsBetweenMarks * MARKS_IN_FLIGHT : PUBLISHES_IN_FLIGHT;
    this.#window = new InFlightWindow(events, limit);
  }

  publish(value: Uint8Array): boolean {
    if (this.#window.full) return false;
    const own = this.#copies?.copy(value) ?? Buffer.from(value.buffer, value.byteOffset, value.length);
    this.#window.taken(1);
    if (this.#qos === 1) {
      this.#client.publish(this.#topic, own, { qos: 1 }, this.#onPuback);
      return true;
    }
    this.#client.publish(this.#topic, own);
    if (++this.#unmarked >= this.#recordsBetweenMarks) this.#mark();
    return true;
  }

  room(): Promise<void> {
    return this.#window.room();
  }

  push(): void {
    if (this.#unmarked > 0) this.#timer ??= setTimeout(this.#mark, MARK_DELAY_MS);
  }

  async flush(): Promise<void> {
    this.#mark();
    await this.#window.empty();
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#client.endAsync(true);
  }

  readonly #mark = (): void => {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const count = this.#unmarked;
    if (count === 0) return;
    this.#unmarked = 0;
    this.#client.publish(MARK_TOPIC, EMPTY, { qos: 1 }, (error) => {
      if (error) this.#window.failed(error);
      else this.#window.acknowledged(count);
    });
  };

  readonly #onPuback = (error?: Error | null): void => {
    if (error) this.#window.failed(error);
    else this.#window.acknowledged(1);
  };
}

async function connectConsumer(settings: DriverSettings, events: ConsumerEvents): Promise<Consumer> {
  const client = await connect(settings.endpoint, events.failed);
  client.on("message", (_topic, payload) => events.received(1, () => payload));
  await client.subscribeAsync(settings.target, { qos: qosOf(settings) });
  return { close: () => client.endAsync(true) };
}

export const driver: Driver = {
  client: "MQTT.js 5.16.0 (Node)",
  prepare: () => Promise.resolve(),
  connectPublisher: async (settings, events) =>
    new MqttPublisher(await connect(settings.endpoint, events.failed), settings, events),
  connectConsumer,
};
