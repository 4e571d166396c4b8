import type { Repetition } from "@millrace/load";
import { delay, plainProcess } from "@millrace/load/internal";
import type { HttpLoadCommands } from "../http/http-load.ts";
import { MeasuredWindow, type Progress } from "../run/measured-window.ts";
import type { SubjectRun } from "../run/subject-run.ts";
import { chosen, combinations, type Scenario, VALUE_BYTES } from "./scenario.ts";

const CONNECTIONS = 64;
const RECORDS_PER_REQUEST: readonly number[] = [1, 100];

/** `POST /v1/topics/{topic}/records`, answered when the records are acknowledged. */
export const httpPublish: Scenario = {
  name: "http-publish",
  description: "autocannon against the HTTP publish route: 1 and 100 records a request, 64 connections",
  cases: (options) =>
    combinations(chosen(options.durabilities, ["memory", "fsynced"] as const), RECORDS_PER_REQUEST).map(
      ([durability, recordsPerRequest]) => {
        const [valueBytes = VALUE_BYTES] = options.valueBytes;
        const { producers: connections = CONNECTIONS } = options;
        return {
          durability,
          partitions: 1,
          parameters: { valueBytes, connections, recordsPerRequest },
          accepts: (subject) => subject.name === "millrace",
          measure: (run) => measure(run, valueBytes, connections, recordsPerRequest),
        };
      },
    ),
};

async function measure(
  run: SubjectRun,
  valueBytes: number,
  connections: number,
  recordsPerRequest: number,
): Promise<Repetition> {
  const { children } = run.context;
  const { warmUpMs, durationMs } = run.plan;
  await run.running.createTopics?.(["bench"]);
  const url = String(run.running.endpoint.url).replace(/^ws/, "http").replace(/\/$/, "");
  const load = await children.fork<HttpLoadCommands>(new URL("../http/http-load.js", import.meta.url));
  run.client = "autocannon 9.0.0 (Node)";
  try {
    const value = "x".repeat(valueBytes);
    const records = Array.from({ length: recordsPerRequest }, () => ({ value }));
    await load.call("start", {
      url: `${url}/v1/topics/bench/records`,
      contentType: recordsPerRequest === 1 ? "application/octet-stream" : "application/json",
      body: recordsPerRequest === 1 ? value : JSON.stringify({ records }),
      connections,
    });
    await delay(warmUpMs);
    let refused = 0;
    const mark = async (): Promise<Progress> => {
      const now = await load.call("mark", null);
      refused = now.refused;
      return { timeMs: now.timeMs, records: now.answered * recordsPerRequest };
    };
    await load.call("latency", null);
    const clients = [plainProcess("generator", load)];
    const window = new MeasuredWindow({ broker: run.running.processes, clients }, await mark());
    await window.run(durationMs, mark);
    const result = window.close(await mark(), valueBytes);
    const latency = await load.call("latency", null);
    await load.call("stop", null);
    if (refused > 0) run.notes.add(`${refused} requests were refused`);
    const requestsPerSecond = result.recordsPerSecond / recordsPerRequest;
    return { ...result, roundTrip: { unit: "ms", ...latency }, figures: { requestsPerSecond } };
  } finally {
    await children.end(load.pid);
  }
}
