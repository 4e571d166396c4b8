import {
  BrokerNode,
  type GatewayHandler,
  type GatewayPort,
  type Logger,
  type NodeStatus,
  SILENT_LOGGER,
} from "@millrace/broker/internal";
import { autoCreateConfig, type BrokerOptions, checkBrokerOptions } from "./broker-options.ts";
import type { Clock } from "./clock.ts";
import { Gateway } from "./gateway.ts";
import type { Listen, Listener } from "./listener.ts";
import { OriginPolicy, urlHost } from "./origin-policy.ts";
import { SYSTEM_CLOCK } from "./system-clock.ts";
import { listenWithUws } from "./uws-listener.ts";

/** A broker that runs in this process. */
export interface Broker {
  /** Where clients connect, such as `ws://127.0.0.1:7070`, or `wss://…` with TLS. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  status(): Promise<NodeStatus>;
  /**
   * Ends the broker in order: no new work, everything taken is stored and acknowledged, sessions are ended, a clean
   * checkpoint is left. Takes seconds at most; calling it again waits for the same end.
   */
  close(): Promise<void>;
}

/** What a gateway's broker is besides its port; BrokerNode, or a double in tests. */
export interface GatewayNode extends GatewayPort {
  attach(handler: GatewayHandler): void;
  start(): Promise<void>;
  drain(): Promise<void>;
  close(): Promise<void>;
  status(): Promise<NodeStatus>;
}

/** What createBroker is made of; tests replace parts. */
export interface BrokerParts {
  readonly openNode: (options: BrokerOptions, logger: Logger) => Promise<GatewayNode>;
  readonly listen: Listen;
  readonly clock: Clock;
}

const PARTS: BrokerParts = { openNode, listen: listenWithUws, clock: SYSTEM_CLOCK };

/**
 * Runs a broker in this process: recovers the data folder, then serves WebSocket clients. /healthz answers while it
 * recovers, /readyz says when it is done.
 * @throws MillraceError such as INSECURE_HOST, PORT_IN_USE, DATA_DIR_IN_USE, SHARD_COUNT_FIXED, JOURNAL_DAMAGED.
 */
export function createBroker(options: BrokerOptions): Promise<Broker> {
  return createBrokerOf(PARTS, options);
}

/** createBroker with parts of the caller's choice. */
export async function createBrokerOf(parts: BrokerParts, options: BrokerOptions): Promise<Broker> {
  const { allowOrigins = [], logger = SILENT_LOGGER, tls } = options;
  const { host, port } = checkBrokerOptions(options, parts.clock);
  const autoCreate = autoCreateConfig(options.autoCreateTopics);
  const node = await parts.openNode(options, logger);
  const gateway = new Gateway({ port: node, clock: parts.clock, logger, autoCreate });
  let listener: Listener | undefined;
  try {
    node.attach(gateway.node);
    listener = await parts.listen({ host, port, tls }, gateway);
    await node.start();
  } catch (error) {
    listener?.close();
    await node.close().catch((second: unknown) => {
      logger.log("error", "close-failed", { error: String(second) });
    });
    throw error;
  }
  gateway.serve(new OriginPolicy(host, listener.port, allowOrigins));
  return new RunningBroker(tls === undefined ? "ws" : "wss", host, listener, gateway, node);
}

class RunningBroker implements Broker {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly #listener: Listener;
  readonly #gateway: Gateway;
  readonly #node: GatewayNode;
  #closed: Promise<void> | undefined;

  constructor(scheme: "ws" | "wss", host: string, listener: Listener, gateway: Gateway, node: GatewayNode) {
    this.host = host;
    this.port = listener.port;
    this.url = `${scheme}://${urlHost(host)}:${listener.port}`;
    this.#listener = listener;
    this.#gateway = gateway;
    this.#node = node;
  }

  status(): Promise<NodeStatus> {
    return this.#node.status();
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    // Order matters: work is refused first, so that the drain has an end; sessions stay open for their acks.
    this.#listener.stopAccepting();
    this.#gateway.goAway();
    try {
      await this.#node.drain();
      await this.#gateway.endSessions();
    } finally {
      this.#listener.close();
      await this.#node.close();
    }
  }
}

function openNode(options: BrokerOptions, logger: Logger): Promise<GatewayNode> {
  const { dataDir, shards, shardThreads, retentionTotalBytes } = options;
  return BrokerNode.open({
    dataDir,
    logger,
    ...(shards === undefined ? {} : { shards }),
    ...(shardThreads === undefined ? {} : { shardThreads }),
    ...(retentionTotalBytes === undefined ? {} : { retentionTotalBytes }),
  });
}
