// The program of a cluster's node: a gateway and a ClusterNode in a process of its own, which the supervisor starts and which
// does not need it any more once it serves.

import {
  ClusterNode,
  claimNodeFile,
  NODE_SETTINGS_VARIABLE,
  type NodeFile,
  NodeLog,
  type NodeSettings,
  ownIdentity,
  SYSTEM_ENTROPY,
  writeNodeFile,
} from "@millrace/broker/internal";
import { autoCreateConfig } from "./broker-options.ts";
import type { GatewaySettings } from "./create-cluster.ts";
import { Gateway } from "./gateway.ts";
import type { Listener } from "./listener.ts";
import { OriginPolicy, urlHost } from "./origin-policy.ts";
import { SYSTEM_CLOCK } from "./system-clock.ts";
import { listenWithUws } from "./uws-listener.ts";

/** After everything was closed, a handle that was forgotten may keep the process for so long. */
const EXIT_GRACE_MS = 500;
/** From being told to end to the end. */
const DRAIN_MS_MAX = 9_500;

const settings = takeSettings();
const { dataDir, nodeId, host, port } = settings;
const gatewaySettings = settings.settings as unknown as GatewaySettings;
const logger = new NodeLog(dataDir, nodeId, SYSTEM_CLOCK);
const file = { ...ownIdentity(), nodeId, port, options: settings.options };
const listeners: Listener[] = [];

process.title = `millrace node ${nodeId}`;
process.on("uncaughtException", die);
process.on("unhandledRejection", die);
// The terminal that the supervisor was started from is not ours.
process.on("SIGHUP", () => {});
nameMyself(claimNodeFile);

const { tls, allowOrigins = [], nodeThreads, retentionTotalBytes } = gatewaySettings;
const node = await ClusterNode.open({
  dataDir,
  nodeId,
  run: SYSTEM_ENTROPY.uint32(),
  threads: nodeThreads,
  retentionTotalBytes,
  logger,
}).catch(die);
const gateway = new Gateway({
  port: node,
  clock: SYSTEM_CLOCK,
  logger,
  autoCreate: autoCreateConfig(gatewaySettings.autoCreateTopics),
});
let ending: Promise<void> | undefined;
process.on("SIGTERM", end);
process.on("SIGINT", end);
try {
  node.attach(gateway.node);
  const own = await listenWithUws({ host, port: 0, tls }, gateway);
  listeners.push(own);
  const scheme = tls === undefined ? "ws" : "wss";
  await node.start();
  await node.serve({ url: `${scheme}://${urlHost(host)}:${own.port}`, onDrain: end });
  // Of two that were started as this node the one that has the socket is the one to be found.
  nameMyself(writeNodeFile);
  void node.whenReady().then(serve).catch(die);
} catch (error) {
  die(error);
}

/** Only now: before, clients of the shared port are better served by the other nodes. */
async function serve(): Promise<void> {
  if (ending !== undefined) return;
  gateway.serve(new OriginPolicy(host, port, allowOrigins));
  listeners.push(await listenWithUws({ host, port, tls, shared: true }, gateway));
}

function end(): void {
  if (ending !== undefined) return;
  setTimeout(late, DRAIN_MS_MAX).unref();
  ending = drain().then(() => void setTimeout(() => process.exit(), EXIT_GRACE_MS).unref(), die);
}

/** Its shards are opened elsewhere once it has gone: what still holds it up is not worth waiting for. */
function late(): void {
  logger.log("error", "drain-timeout", { nodeId, ms: DRAIN_MS_MAX });
  process.exit(1);
}

async function drain(): Promise<void> {
  logger.log("info", "draining");
  for (const listener of listeners) listener.stopAccepting();
  gateway.goAway();
  try {
    await node.drain();
    await gateway.endSessions();
  } finally {
    for (const listener of listeners) listener.close();
    await node.close();
  }
  logger.log("info", "closed");
}

function takeSettings(): NodeSettings {
  const text = process.env[NODE_SETTINGS_VARIABLE];
  if (text === undefined)
    throw new Error(`${NODE_SETTINGS_VARIABLE} is not set: "millrace serve" starts nodes`);
  // Nothing that this process starts needs it, and it may hold a passphrase.
  delete process.env[NODE_SETTINGS_VARIABLE];
  return JSON.parse(text) as NodeSettings;
}

function nameMyself(write: (dataDir: string, named: NodeFile) => void): void {
  try {
    write(dataDir, file);
  } catch (error) {
    // The supervisor has done the same, and most often there was room for that.
    logger.log("warn", "node-file-failed", { error });
  }
}

function die(error: unknown): never {
  const { code, message } = error as { code?: unknown; message?: unknown };
  const failure = { code: typeof code === "string" ? code : "INTERNAL", message: String(message ?? error) };
  logger.log("error", "node-failed", { error });
  try {
    claimNodeFile(dataDir, { ...file, failure });
  } catch {}
  process.exit(1);
}
