import type { LogLevel } from "@millrace/broker/internal";
import { Gateway } from "../../src/gateway.ts";
import type { GatewayOptions } from "../../src/gateway-parts.ts";
import { OriginPolicy } from "../../src/origin-policy.ts";
import { frameBytes } from "./batches.ts";
import { FakeClock } from "./fake-clock.ts";
import { FakeNode } from "./fake-node.ts";
import { FakeSocket } from "./fake-socket.ts";

export interface LogLine {
  readonly level: LogLevel;
  readonly event: string;
  readonly fields: Record<string, unknown>;
}

/** A gateway without network, threads and time. */
export class InMemoryGateway {
  readonly clock: FakeClock = new FakeClock();
  readonly node: FakeNode;
  readonly gateway: Gateway;
  readonly logged: LogLine[] = [];

  constructor(options: Partial<GatewayOptions> & { node?: FakeNode } = {}) {
    this.node = options.node ?? new FakeNode();
    this.gateway = new Gateway({
      port: this.node,
      clock: this.clock,
      logger: { log: (level, event, fields = {}) => this.logged.push({ level, event, fields }) },
      ...options,
    });
    this.node.attach(this.gateway.node);
    this.node.ready = true;
    this.gateway.serve(new OriginPolicy("127.0.0.1", 7070, []));
  }

  /** A session that has said HELLO, unless `hello` is false. */
  connect(hello = true): InMemoryClient {
    const socket = new FakeSocket();
    socket.handler = this.gateway.open(socket);
    const client = new InMemoryClient(socket);
    if (hello) client.hello();
    return client;
  }

  /** Lets shards and turns go on until nothing happens any more, promises included. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 3; ) {
      await new Promise((resolve) => setImmediate(resolve));
      const worked = this.node.run();
      const turned = this.clock.hasSoon;
      this.clock.settle();
      quiet = worked || turned ? 0 : quiet + 1;
    }
  }
}

export class InMemoryClient {
  readonly socket: FakeSocket;
  sentPublishBytes = 0;

  constructor(socket: FakeSocket) {
    this.socket = socket;
  }

  hello(): void {
    this.send({
      name: "HELLO",
      value: { versionMin: 1, versionMax: 1, clientName: "test", features: [], extensions: {} },
    });
  }

  send(frame: Parameters<typeof frameBytes>[0]): void {
    this.sendBytes(frameBytes(frame));
  }

  sendBytes(bytes: Uint8Array): void {
    // As a real listener: nothing of the message is readable after the call.
    const copy = Uint8Array.from(bytes);
    this.socket.handler?.onMessage(copy);
    copy.fill(0xee);
  }

  subscribe(
    subscriptionId: number,
    topic: string,
    options: {
      from?: Extract<Parameters<typeof frameBytes>[0], { name: "SUBSCRIBE" }>["value"]["from"];
      creditLimit?: number;
      partitions?: readonly number[];
      mode?: string;
      requestId?: number;
    } = {},
  ): void {
    this.send({
      name: "SUBSCRIBE",
      value: {
        requestId: options.requestId ?? 1000 + subscriptionId,
        subscriptionId,
        topic,
        partitions: options.partitions,
        from: options.from ?? { kind: "earliest" },
        creditLimit: options.creditLimit ?? 10_000_000,
        mode: options.mode ?? "stream",
        extensions: {},
      },
    });
  }

  flow(subscriptionId: number, creditLimit: number): void {
    this.send({ name: "FLOW", value: { subscriptionId, creditLimit } });
  }
}
