import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import {
  type BenchDocument,
  checkDocument,
  describeMachine,
  readDocument,
  writeDocument,
} from "../../src/index.ts";

const latency = { unit: "ms", count: 2, p50: 1, p90: 1, p99: 2, p999: 2, max: 2, histogram: "" } as const;
const document: BenchDocument = {
  format: "millrace-bench",
  version: 1,
  startedAt: "2026-11-23T00:00:00.000Z",
  command: "millrace bench e2e",
  machine: describeMachine(),
  rows: [
    {
      scenario: "end-to-end",
      subject: "millrace",
      version: "0.1.0",
      client: "@millrace/client 0.1.0 (Node)",
      kind: "client",
      durability: "fsynced",
      parameters: { valueBytes: 100, recordsPerSecond: 10_000, batched: false },
      settings: ["default options"],
      notes: [],
      repetitions: [
        {
          seconds: 10,
          recordsPerSecond: 10_000,
          bytesPerSecond: 1_000_000,
          deliveriesPerSecond: 10_000,
          endToEnd: latency,
          series: [2500, 2500],
          brokerCpuSecondsPerMillion: 1,
          clientCpuSecondsPerMillion: 1,
          brokerCores: 0.5,
          clientCores: 0.5,
          busyThreads: 1.5,
          brokerRssBytes: 1,
          brokerPeakRssBytes: 2,
          generatorLateMs: 0.1,
          generatorSaturated: false,
          figures: { lost: 0 },
          disturbance: { elsewhereCores: 0, stolenCores: 0 },
        },
      ],
    },
  ],
  verdicts: [
    {
      name: "latency",
      description: "p99 over another's",
      ratio: null,
      target: 1,
      sense: "at-most",
      met: null,
      basis: [],
    },
  ],
};

t.test("is read as it was written", async (t) => {
  const path = join(t.testdir(), "result.json");
  writeDocument(path, document);
  t.same(readDocument(path), document);
  writeDocument(path, { ...document, command: "again" });
  t.equal(readDocument(path).command, "again", "over an older one");
});

t.test("what is not one is refused, with the place", async (t) => {
  const broken = (change: (copy: Record<string, never>) => void): unknown => {
    const copy = structuredClone(document) as unknown as Record<string, never>;
    change(copy);
    return copy;
  };
  const refused = (change: (copy: Record<string, never>) => void, place: RegExp): void => {
    t.throws(() => checkDocument(broken(change)), { name: "TypeError", message: place });
  };
  const set = (object: unknown, name: string, value: unknown): void => {
    (object as Record<string, unknown>)[name] = value;
  };
  const row = (copy: unknown): unknown => (copy as BenchDocument).rows[0];
  refused((copy) => set(copy, "format", "other"), /format must be millrace-bench/);
  refused((copy) => set(copy, "version", 2), /version must be version 1: got 2/);
  refused((copy) => set(copy, "rows", {}), /rows must be a list/);
  refused((copy) => set(row(copy), "durability", "none"), /rows\[0\]\.durability/);
  refused((copy) => set(row(copy), "notes", [1]), /rows\[0\]\.notes\[0\] must be a string/);
  refused((copy) => {
    const { repetitions } = row(copy) as BenchDocument["rows"][number];
    set(repetitions[0], "endToEnd", { ...latency, p99: "2" });
  }, /repetitions\[0\]\.endToEnd\.p99 must be a number/);
  t.throws(() => checkDocument(null), /it must be an object/);
  t.doesNotThrow(() => checkDocument(broken((copy) => set(copy, "later", 1))), "unknown fields pass");
  t.throws(
    () =>
      writeDocument(join(t.testdir(), "x"), {
        ...document,
        verdicts: [{ ...document.verdicts[0]!, target: Number.NaN }],
      }),
    /target must be a number/,
  );
});

t.test("a file that is no JSON is named", async (t) => {
  const path = join(t.testdir(), "broken.json");
  writeFileSync(path, "{");
  t.throws(() => readDocument(path), { message: /broken\.json/ });
});
