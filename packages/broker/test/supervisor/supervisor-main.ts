// A supervisor of fake nodes, to be killed: `node supervisor-main.js DATA NODES`.

import { SILENT_LOGGER } from "../../src/logger.ts";
import { Supervisor } from "../../src/supervisor/supervisor.ts";
import { FAKE_NODE, FAST, PLAIN_NODE } from "./fake-cluster.ts";

const [dataDir, nodes] = process.argv.slice(2) as [string, string];
await Supervisor.start({
  dataDir,
  host: "127.0.0.1",
  port: 0,
  nodes: Number(nodes),
  shards: 4,
  nodeEntry: FAKE_NODE,
  nodeCommand: PLAIN_NODE,
  settings: {},
  logger: SILENT_LOGGER,
  limits: FAST,
});
process.stdout.write("serving\n");
