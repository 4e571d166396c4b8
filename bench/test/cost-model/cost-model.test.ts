import type { Repetition, ResultRow } from "@millrace/load";
import t from "tap";
import { fitCost } from "../../src/cost-model/cost-fit.ts";
import { costReport } from "../../src/cost-model/cost-report.ts";

function row(parameters: ResultRow["parameters"], brokerUs: number, clientUs: number): ResultRow {
  const repetition = {
    brokerCpuSecondsPerMillion: brokerUs,
    clientCpuSecondsPerMillion: clientUs,
  } as Repetition;
  return {
    scenario: "pinned-producer",
    subject: "millrace",
    version: "",
    client: "",
    kind: "client",
    durability: "memory",
    parameters,
    settings: [],
    notes: [],
    repetitions: [repetition],
  };
}

t.test("a line through exact points is found, and one size is none", async (t) => {
  const points = [16, 100, 1024, 16_384].map((valueBytes) => ({
    valueBytes,
    costUs: 0.2 + valueBytes * 0.001,
  }));
  const fit = fitCost(points);
  t.ok(Math.abs((fit?.perRecordUs ?? 0) - 0.2) < 1e-9);
  t.ok(Math.abs((fit?.perByteNs ?? 0) - 1) < 1e-9);
  t.ok((fit?.worstError ?? 1) < 1e-9);
  t.equal(fitCost(points.slice(0, 1)), undefined);
  t.equal(fitCost(points.map((point) => ({ ...point, costUs: 0 }))), undefined);
});

t.test("rows that differ in one parameter make a fit or a table; other subjects are left out", async (t) => {
  const lines = costReport(
    [
      row({ valueBytes: 100, partitions: 1 }, 0.3, 0.3),
      row({ valueBytes: 1100, partitions: 1 }, 1.3, 2.3),
      row({ valueBytes: 100, partitions: 64 }, 0.6, 0.4),
      { ...row({ valueBytes: 9, partitions: 1 }, 99, 99), subject: "kafka" },
    ],
    "millrace",
  );
  const text = lines.join("\n");
  t.match(text, /broker 0\.200 us \+ 1\.00 ns a byte \(within 0 %\); clients 0\.1\d+ us \+ 2\.00 ns a byte/);
  t.match(text, / 1 {2}broker 0\.300 {2}clients 0\.300\n +64 {2}broker 0\.600 {2}clients 0\.400/);
  t.notMatch(text, "99");
});
