import type { NativeRequest, NativeTool, RunningSubject } from "../../suite/subjects/subject.ts";
import { recordsFor } from "../calibrated-run.ts";
import { missingPrograms, programPath } from "../peer-programs.ts";
import { endedChildrenCpuSeconds, runTool } from "../program-output.ts";
import { parseRedisBenchmark, type RedisBenchmarkOutput } from "./redis-benchmark-output.ts";
import { addCommand } from "./redis-streams-driver.ts";

const PIPELINES: readonly number[] = [16, 64, 256, 1000];
const TRIAL_REQUESTS = 40_000;
const TIMEOUT_MS = 180_000;
const TARGET = "bench-native";

async function benchmark(
  { endpoint }: RunningSubject,
  { children, producers, valueBytes }: NativeRequest,
  command: readonly string[],
  pipeline: number,
  requests: number,
): Promise<RedisBenchmarkOutput> {
  const args = [
    ...["-h", String(endpoint.host), "-p", String(endpoint.port), "--csv"],
    ...["-n", String(requests), "-c", String(producers), "-P", String(pipeline)],
    ...[...command, "x".repeat(valueBytes)],
  ];
  return parseRedisBenchmark(
    await runTool(children, programPath("redis-benchmark"), args, { timeoutMs: TIMEOUT_MS }),
  );
}

/** The tool can publish and append. It has no way to subscribe, nor to read a stream. */
function redisBenchmark(commandOf: (request: NativeRequest) => readonly string[]): NativeTool {
  return {
    name: "redis-benchmark",
    language: "C",
    supports: (scenario, { recordsPerSecond }) =>
      scenario === "pinned-producer" &&
      recordsPerSecond === null &&
      missingPrograms("redis-benchmark") === undefined,
    run: async (running, request) => {
      const command = commandOf(request);
      let pipeline = 0;
      let best = 0;
      for (const candidate of PIPELINES) {
        const { requestsPerSecond } = await benchmark(running, request, command, candidate, TRIAL_REQUESTS);
        if (requestsPerSecond > best) [pipeline, best] = [candidate, requestsPerSecond];
      }
      const { durationMs, valueBytes } = request;
      const records = await recordsFor(durationMs, valueBytes, () => Promise.resolve(best));
      const cpuBefore = endedChildrenCpuSeconds();
      const output = await benchmark(running, request, command, pipeline, records);
      return {
        recordsPerSecond: output.requestsPerSecond,
        seconds: records / output.requestsPerSecond,
        records,
        clientCpuSeconds: endedChildrenCpuSeconds() - cpuBefore,
        latency: output.latency,
        settings: [
          `redis-benchmark -n N -c ${request.producers} -P ${pipeline} ${command.join(" ")} VALUE (best of -P ${PIPELINES.join(", ")})`,
        ],
        notes: ["redis-benchmark cannot subscribe or read streams, so it stands for publishing alone"],
      };
    },
  };
}

export const redisBenchmarkPublish: NativeTool = redisBenchmark(() => ["PUBLISH", TARGET]);

export const redisBenchmarkAdd: NativeTool = redisBenchmark(({ valueBytes }) =>
  addCommand({ target: TARGET, valueBytes }),
);
