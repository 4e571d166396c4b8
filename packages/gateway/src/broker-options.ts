import type { Logger, TopicConfig } from "@millrace/broker/internal";
import type { Clock } from "./clock.ts";
import { refuseOpenHost } from "./origin-policy.ts";
import { checkTlsFiles, type TlsFiles } from "./tls-files.ts";
import { topicConfig } from "./topic-requests.ts";

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
  /** Serve `wss:` and `https:` with this certificate, and nothing else. Default: `ws:` and `http:`. */
  readonly tls?: TlsFiles | undefined;
  /** Default: silent. */
  readonly logger?: Logger | undefined;
}

/** Where to listen, once everything that can be known to be wrong is not. @throws MillraceError INSECURE_HOST, TLS_…; RangeError */
export function checkBrokerOptions(
  options: Omit<BrokerOptions, "logger">,
  clock: Clock,
): { readonly host: string; readonly port: number } {
  const { host = DEFAULT_HOST, port = DEFAULT_PORT, retentionTotalBytes: total = 0, tls } = options;
  if (!Number.isInteger(port) || port < 0 || port > 0xffff) {
    throw new RangeError(`port must be an integer of 0..65535: port=${port}`);
  }
  if (!Number.isSafeInteger(total) || total < 0) {
    throw new RangeError(`retentionTotalBytes must be an integer of 0 or more: retentionTotalBytes=${total}`);
  }
  refuseOpenHost(host, options.insecure === true);
  if (tls !== undefined) checkTlsFiles(tls, clock.wallMs());
  return { host, port };
}

/** What topics are made with that nobody has made; undefined: none are. */
export function autoCreateConfig(
  setting: boolean | Partial<TopicConfig> | undefined,
): TopicConfig | undefined {
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
