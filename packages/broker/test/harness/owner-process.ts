import { PeerServer } from "../../src/peer/peer-server.ts";
import { CLUSTER, OWNER, RecordedLog } from "./linked-nodes.ts";

/** An owner of no shards in a process of its own: argv is its socket's path; it answers `echo`, and says when it listens. */
const [, , path = ""] = process.argv;
await PeerServer.listen({
  address: { path },
  clusterId: CLUSTER,
  nodeId: OWNER,
  run: process.pid,
  rpc: new Map([["echo", (args: readonly unknown[]) => args]]),
  logger: new RecordedLog(),
  shards: { way: () => undefined, epoch: () => 0, gatewayGone: async () => {} },
});
process.stdout.write("listening\n");
