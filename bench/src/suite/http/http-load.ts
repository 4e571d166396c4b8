/** Generator `http-load`: autocannon in a process of its own, counted as it goes on. */
import {
  LatencyRecorder,
  type LatencySummary,
  monotonicMs,
  reportFailure,
  serveCommands,
} from "@millrace/load/internal";
import { type AutocannonRun, autocannon } from "./autocannon.ts";

export interface HttpLoadSpec {
  readonly url: string;
  readonly contentType: string;
  readonly body: string;
  readonly connections: number;
}

export interface HttpLoadCommands {
  start(spec: HttpLoadSpec): void;
  mark(args: null): { timeMs: number; answered: number; refused: number };
  /** Of the answers since the last call. */
  latency(args: null): LatencySummary & { histogram: string };
  stop(args: null): Promise<void>;
}

/** Longer than anything here goes on; `stop` ends it. */
const DURATION_SECONDS = 600;

const latencies = new LatencyRecorder();
let answered = 0;
let refused = 0;
let running: AutocannonRun | undefined;

serveCommands<HttpLoadCommands>({
  start: ({ url, contentType, body, connections }) => {
    running = autocannon({
      url,
      method: "POST",
      headers: { "content-type": contentType },
      body,
      connections,
      pipelining: 1,
      duration: DURATION_SECONDS,
      setupClient: (client) =>
        client.on("response", (statusCode, _bytes, responseTimeMs) => {
          if (statusCode >= 200 && statusCode < 300) answered++;
          else refused++;
          latencies.record(responseTimeMs);
        }),
    });
    running.catch(reportFailure);
  },
  mark: () => ({ timeMs: monotonicMs(), answered, refused }),
  latency: () => {
    const summary = { ...latencies.summary(), histogram: latencies.encode() };
    latencies.reset();
    return summary;
  },
  stop: async () => {
    running?.stop();
    await running;
  },
});
