import {
  BrokerNode,
  type GatewayHandler,
  type GatewayPort,
  type Logger,
  type NodeStatus,
  SILENT_LOGGER,
  type TopicConfig,
} from "@millrace/broker/internal";
import { MillraceError } from "@millrace/protocol";
import type { Clock } from "./clock.ts";
import { Gateway } from "./gateway.ts";
import type { Listen, Listener } from "./listener.ts";
import { isLoopbackHost, OriginPolicy, urlHost } from "./origin-policy.ts";
import { SYSTEM_CLOCK } from "./system-clock.ts";
import { topicConfig } from "./topic-requests.ts";
import { listenWithUws } from "./uws-listener.ts";

const DEFAULT_HOST = "127.0.0.1";
const DEFAULT_PORT = 7070;

/** Options of `createBroker`. */
export interface BrokerOptions {
  /** Folder of all data; made when it is not there. One broker at a time. */
  readonly dataDir: string;
  /** Address to listen on. Default 127.0.0.1; one that other machines can reach needs `insecure`. */
  readonly host?: string | undefined;
  /** Default 7070; 0 takes any free port. */
  readonly port?: number | undefined;
  /** Number of shards, fixed when the folder is made; default by the machine's cores. */
  readonly shards?: number | undefined;
  /** Threads that run the shards; default by the machine's cores. */
  readonly shardThreads?: number | undefined;
  /**
   * Bytes that all topics may take together; past it the oldest records go, whatever their topics' retention says. 0 = no
   * bound; default 80 % of the volume.
   */
  readonly retentionTotalBytes?: number | undefined;
  /** Listen where other machines can connect, although there is no authentication. Default false. */
  readonly insecure?: boolean | undefined;
  /** Origins of web pages that may connect, besides those of the broker's own address; `"*"` for all. */
  readonly allowOrigins?: readonly string[] | undefined;
  /** Make a topic when an unknown one is subscribed to or described: true, or the settings to make it with. */
  readonly autoCreateTopics?: boolean | Partial<TopicConfig> | undefined;
  /** Default: silent. */
  readonly logger?: Logger | undefined;
}

/** A broker that runs in this process. */
export interface Broker {
  /** Where clients connect, such as `ws://127.0.0.1:7070`. */
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
  const { host = DEFAULT_HOST, port = DEFAULT_PORT, allowOrigins = [], logger = SILENT_LOGGER } = options;
  if (!Number.isInteger(port) || port < 0 || port > 0xffff) {
    throw new RangeError(`port must be an integer of 0..65535: port=${port}`);
  }
  const { retentionTotalBytes: total = 0 } = options;
  if (!Number.isSafeInteger(total) || total < 0) {
    throw new RangeError(`retentionTotalBytes must be an integer of 0 or more: retentionTotalBytes=${total}`);
  }
  if (options.insecure !== true && !isLoopbackHost(host)) {
    throw new MillraceError(
      "INSECURE_HOST",
      `${host} can be reached by others, who could read and write everything: there is no authentication yet. ` +
        "Say insecure if that is meant.",
      { details: { host } },
    );
  }
  const autoCreate = autoCreateConfig(options.autoCreateTopics);
  const node = await parts.openNode(options, logger);
  const gateway = new Gateway({ port: node, clock: parts.clock, logger, autoCreate });
  let listener: Listener | undefined;
  try {
    node.attach(gateway.node);
    listener = await parts.listen({ host, port }, gateway);
    await node.start();
  } catch (error) {
    listener?.close();
    await node.close().catch((second: unknown) => {
      logger.log("error", "close-failed", { error: String(second) });
    });
    throw error;
  }
  gateway.serve(new OriginPolicy(host, listener.port, allowOrigins));
  return new RunningBroker(host, listener, gateway, node);
}

class RunningBroker implements Broker {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly #listener: Listener;
  readonly #gateway: Gateway;
  readonly #node: GatewayNode;
  #closed: Promise<void> | undefined;

  constructor(host: string, listener: Listener, gateway: Gateway, node: GatewayNode) {
    this.host = host;
    this.port = listener.port;
    this.url = `ws://${urlHost(host)}:${listener.port}`;
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

function autoCreateConfig(setting: boolean | Partial<TopicConfig> | undefined): TopicConfig | undefined {
  if (setting === undefined || setting === false) return undefined;
  if (setting === true) return topicConfig({});
  // In the catalog's terms 0 is no bound; on the wire, whose rules are checked here, that is nil.
  const { retentionMs, retentionBytes } = setting;
  return topicConfig({
    ...setting,
    ...(retentionMs === 0 ? { retentionMs: null } : {}),
    ...(retentionBytes === 0 ? { retentionBytes: null } : {}),
  });
}
