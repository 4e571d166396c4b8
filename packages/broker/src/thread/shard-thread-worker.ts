import { parentPort, workerData } from "node:worker_threads";
import { ShardThreadAgent } from "./shard-thread-agent.ts";
import type { ShardThreadData } from "./thread-messages.ts";

if (parentPort === null) throw new Error("shard-thread-worker runs as a worker thread only");
ShardThreadAgent.start(workerData as ShardThreadData, parentPort);
