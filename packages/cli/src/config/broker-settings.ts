import { resolve } from "node:path";
import type { BrokerOptions, TlsFiles } from "@millrace/gateway";
import type { Settings } from "./settings.ts";

/**
 * The settings as `createBroker` takes them, and each node of a cluster. They survive JSON, and hold no secret: a passphrase is
 * named by its file. What concerns a cluster alone (`nodes`) is not in them.
 */
export function brokerSettings(settings: Settings): Omit<BrokerOptions, "logger"> {
  const { data, host, port, shards, threads, nodeThreads, retentionTotal } = settings;
  const { insecure, allowOrigin, autoCreate } = settings;
  return {
    dataDir: resolve(data),
    host,
    port,
    shards,
    shardThreads: threads ?? nodeThreads,
    retentionTotalBytes: retentionTotal === "none" ? 0 : retentionTotal,
    insecure,
    allowOrigins: allowOrigin,
    autoCreateTopics: autoCreate,
    tls: tlsFiles(settings),
  };
}

/** What they say of TLS; undefined when they say nothing. */
export function tlsFiles({ tlsCert, tlsKey, tlsPassphraseFile }: Settings): TlsFiles | undefined {
  if (tlsCert === undefined || tlsKey === undefined) return undefined;
  const files = { certFile: resolve(tlsCert), keyFile: resolve(tlsKey) };
  return tlsPassphraseFile === undefined ? files : { ...files, passphraseFile: resolve(tlsPassphraseFile) };
}
