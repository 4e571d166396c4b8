import { parentPort, workerData } from "node:worker_threads";
import { ReaderThreadAgent } from "./reader-thread-agent.ts";
import type { ReaderThreadData } from "./thread-messages.ts";
import { BEHIND_LIVE_TRAFFIC, lowerThreadPriority } from "./thread-priority.ts";

if (parentPort === null) throw new Error("reader-thread-worker runs as a worker thread only");
lowerThreadPriority(BEHIND_LIVE_TRAFFIC);
ReaderThreadAgent.start(workerData as ReaderThreadData, parentPort);
