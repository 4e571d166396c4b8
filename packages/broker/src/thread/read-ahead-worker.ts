import { parentPort, workerData } from "node:worker_threads";
import { ReadAheadAgent } from "./read-ahead-agent.ts";
import type { ReadAheadThreadData } from "./thread-messages.ts";
import { BEHIND_LIVE_TRAFFIC, lowerThreadPriority } from "./thread-priority.ts";

if (parentPort === null) throw new Error("read-ahead-worker runs as a worker thread only");
lowerThreadPriority(BEHIND_LIVE_TRAFFIC);
ReadAheadAgent.start(workerData as ReadAheadThreadData);
