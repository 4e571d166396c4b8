import {
  type ConsumeMode,
  type DriverSettings,
  type LoadTask,
  MILLRACE_DRIVER,
  openFleet,
  type Repetition,
  runRepetition,
} from "@millrace/load";
import t from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";

const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t) });
const fleet = openFleet("threads");
t.teardown(() => fleet.close());
// Most of the time of each is waiting, on topics of their own.
t.jobs = 5;

function settingsOf(target: string, mode: ConsumeMode, changes: Partial<DriverSettings>): DriverSettings {
  return {
    endpoint: { url: broker.url },
    target,
    partitions: 2,
    durability: "memory",
    valueBytes: 100,
    batchBytes: 16_384,
    lingerMs: 0,
    stamped: true,
    mode,
    from: "latest",
    subscription: mode === "live" ? "" : "readers",
    slots: 16,
    options: {},
    ...changes,
  };
}

function taskOf(role: LoadTask["role"], settings: DriverSettings, changes: Partial<LoadTask> = {}): LoadTask {
  return {
    driver: MILLRACE_DRIVER,
    settings,
    role,
    connections: 1,
    recordsPerSecond: 1000,
    keys: 0,
    burst: 1,
    inFlightMax: 10_000,
    ...changes,
  };
}

function repeat(...tasks: readonly LoadTask[]): Promise<Repetition> {
  return runRepetition({
    fleet,
    tasks,
    broker: { processes: [] },
    warmUpMs: 50,
    durationMs: 250,
    drainMs: 5000,
  });
}

for (const mode of ["live", "stream", "queue", "keyed"] as const) {
  t.test(`records at a rate, ${mode}`, { buffered: true }, async (t) => {
    const settings = settingsOf(`rate-${mode}`, mode, {});
    const publish = taskOf("publish", settings, { connections: 2, keys: mode === "keyed" ? 10 : 0 });
    const { errors, endToEnd, ackLatency, figures, ...rest } = await repeat(
      publish,
      taskOf("consume", settings),
    );
    t.equal(errors, undefined, "nothing is missing");
    t.match(ackLatency, { count: 250 }, "each record of the window is acknowledged");
    t.match(endToEnd, { count: 250 }, "and arrives");
    // How many of them came, or were settled, before the window ended is a matter of speed.
    t.type(rest.deliveriesPerSecond, "number");
    const isLeased = mode === "queue" || mode === "keyed";
    t.equal(typeof figures?.settledPerSecond === "number", isLeased);
    if (!isLeased) return;
    const client = await connectedClient(t, broker.url);
    const { lag, partitions } = await client.subscriptions.describe(settings.target, settings.subscription);
    t.equal(lag, 0, "all are settled");
    t.ok(partitions.reduce((sum, { offset }) => sum + offset, 0) >= 250);
  });
}

t.test("saturation, and a replay of what it wrote", { buffered: true }, async (t) => {
  const settings = settingsOf("saturated", "stream", { stamped: false, from: "earliest" });
  const written = await repeat(
    taskOf("publish", settings, { recordsPerSecond: null, burst: 64, recordsMax: 20_000, connections: 2 }),
  );
  t.equal(written.errors, undefined);
  const replayed = await repeat(taskOf("consume", settings, { recordsPerSecond: null }));
  t.equal(replayed.errors, undefined);
  t.equal(replayed.endToEnd, undefined, "values without a stamp tell no latency");
});

t.test("members share the partitions of a stream", { buffered: true }, async (t) => {
  const settings = settingsOf("balanced", "stream", { options: { balanced: true } });
  const { errors, endToEnd } = await repeat(
    taskOf("publish", settings, { keys: 50 }),
    taskOf("consume", settings, { connections: 2 }),
  );
  t.equal(errors, undefined);
  t.match(endToEnd, { count: 250 }, "each record comes once");
});

t.test("requests", { buffered: true }, async (t) => {
  const settings = settingsOf("requests", "queue", { subscription: "" });
  const { errors, roundTrip } = await repeat(
    taskOf("respond", settings),
    taskOf("request", settings, { recordsPerSecond: 400, inFlightMax: 50 }),
  );
  t.equal(errors, undefined);
  t.match(roundTrip, { count: 100 });
});

t.test("one record a frame", { buffered: true }, async (t) => {
  const settings = settingsOf("unbatched", "live", { batchBytes: 0 });
  const { errors, endToEnd } = await repeat(taskOf("publish", settings), taskOf("consume", settings));
  t.equal(errors, undefined);
  t.match(endToEnd, { count: 250 });
});

t.test("a topic of another kind is not loaded by mistake", { buffered: true }, async (t) => {
  const settings = settingsOf("kind", "live", {});
  await repeat(taskOf("publish", settings, { recordsMax: 1 }));
  const other = settingsOf("kind", "live", { partitions: 3 });
  await t.rejects(repeat(taskOf("publish", other)), {
    message: /kind is there already, with 2 partitions, memory/,
  });
});

t.test("a broker that is not there ends the repetition", { buffered: true }, async (t) => {
  const settings = settingsOf("nowhere", "live", { endpoint: { url: "ws://127.0.0.1:1" } });
  await t.rejects(repeat(taskOf("publish", settings)), {
    message: /publish generator 1: .*CONNECT_FAILED|ECONNREFUSED/,
  });
  const noUrl = settingsOf("nowhere", "live", { endpoint: { host: "127.0.0.1" } });
  await t.rejects(repeat(taskOf("publish", noUrl)), { message: /the endpoint of Millrace is \{ url/ });
});
