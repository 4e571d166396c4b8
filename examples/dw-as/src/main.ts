// Data server and analysis server, with a broker between them. The analysis server is killed half-way and goes on
// from the moment of failure, once by offset and once by time; both must end with the figures of the file.
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, connect } from "@millrace/client";
import { addFlight, differences, type FiguresByAirport } from "./airport-figures.ts";
import { loadState } from "./analysis-state.ts";
import { startBroker } from "./broker-process.ts";
import { endProcess, messageFrom, startServer } from "./child-process.ts";
import { FLIGHT_COUNT, readFlights } from "./flight-file.ts";
import { needsNotice } from "./notice.ts";

const TOPIC = "flights";
const PARTITIONS = 4;
const FLIGHTS_PER_SECOND = 50_000;
const NOTICES = "notices";
const NOTICE_SERVERS = 2;
/** How long the analysis server stays dead, while the data server goes on. */
const DOWNTIME_MS = 500;

const children = new Set<ChildProcess>();

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function start(name: string, args: readonly string[]): ChildProcess {
  const server = startServer(name, args);
  children.add(server);
  server.once("exit", () => children.delete(server));
  return server;
}

/** Runs the analysis with a failure half-way; resolves with its last figures. */
async function analyse(url: string, folder: string, restartBy: "offset" | "time"): Promise<FiguresByAirport> {
  const stateFile = join(folder, `analysis-by-${restartBy}.json`);
  const args = [url, TOPIC, stateFile, restartBy];
  const first = start("analysis-server", args);
  const half = await messageFrom(first, ({ analysed = 0 }) => analysed >= FLIGHT_COUNT / 2);
  await endProcess(first, "SIGKILL");
  say(`analysis by ${restartBy}: killed (SIGKILL) after ${half.analysed} flights`);

  await sleep(DOWNTIME_MS);
  const second = start("analysis-server", args);
  const finished = messageFrom(second, ({ analysed }) => analysed === FLIGHT_COUNT);
  const { resumedAt } = await messageFrom(second, (message) => message.resumedAt !== undefined);
  say(`analysis by ${restartBy}: started again, goes on after the ${resumedAt} flights of its last save`);
  await finished;
  const exitCode = await endProcess(second, "SIGTERM");
  if (exitCode !== 0) throw new Error(`the analysis server ended with ${exitCode}`);
  return loadState(stateFile)?.figures ?? {};
}

async function replay(url: string): Promise<void> {
  const server = start("data-server", [url, TOPIC, String(FLIGHTS_PER_SECOND)]);
  const { published } = await messageFrom(server, (message) => message.published !== undefined);
  say(`data server: published ${published} flights, every one acknowledged`);
}

/** Ends the notice servers once every flight has been dealt with; resolves with how many notices they sent. */
async function notify(
  client: Client,
  servers: readonly ChildProcess[],
  published: Promise<void>,
): Promise<number> {
  await published;
  while ((await client.subscriptions.describe(TOPIC, NOTICES)).lag > 0) await sleep(100);
  const totals = await Promise.all(
    servers.map(async (server) => {
      const total = messageFrom(server, ({ handled }) => handled !== undefined);
      await endProcess(server, "SIGTERM");
      return total;
    }),
  );
  const handled = totals.map((total) => total.handled ?? 0);
  const notices = totals.reduce((sum, total) => sum + (total.notices ?? 0), 0);
  say(
    `notices: ${NOTICE_SERVERS} servers handled ${handled.join(" + ")} flights and sent ${notices} notices`,
  );
  return notices;
}

async function run(folder: string): Promise<boolean> {
  const expected: FiguresByAirport = {};
  let expectedNotices = 0;
  for (const flight of await readFlights()) {
    addFlight(expected, flight);
    if (needsNotice(flight)) expectedNotices++;
  }
  say(`file: ${FLIGHT_COUNT} flights from ${Object.keys(expected).length} airports`);

  const broker = await startBroker(join(folder, "broker"));
  children.add(broker.process);
  const client = await connect(broker.url);
  const topic = await client.topics.create(TOPIC, { partitions: PARTITIONS });
  await client.subscriptions.create(TOPIC, NOTICES, { mode: "queue", from: "earliest" });
  say(`broker: ${broker.url}, topic ${TOPIC} with ${PARTITIONS} partitions, ${topic.durability}`);

  // One topic, read in two ways: the analysis in order and from wherever it likes, the notices as a work queue.
  const noticeServers = Array.from({ length: NOTICE_SERVERS }, () =>
    start("notice-server", [broker.url, TOPIC, NOTICES]),
  );
  const published = replay(broker.url);
  const [byOffset, byTime, notices] = await Promise.all([
    analyse(broker.url, folder, "offset"),
    analyse(broker.url, folder, "time"),
    notify(client, noticeServers, published),
  ]);
  await client.close();
  const brokerExitCode = await endProcess(broker.process, "SIGTERM");
  if (brokerExitCode !== 0) say(`broker: ended with ${brokerExitCode} instead of 0`);
  const equal = [report("offset", byOffset, expected), report("time", byTime, expected)];
  if (notices !== expectedNotices) say(`notices: ${notices} sent, should be ${expectedNotices}`);
  return equal.every(Boolean) && notices === expectedNotices && brokerExitCode === 0;
}

function report(restartBy: string, actual: FiguresByAirport, expected: FiguresByAirport): boolean {
  const found = differences(actual, expected);
  const busiest = Object.entries(actual).sort(([, a], [, b]) => b.flights - a.flights)[0];
  if (found.length === 0 && busiest !== undefined) {
    const [airport, { flights, delayMinutes }] = busiest;
    const mean = (delayMinutes / flights).toFixed(1);
    say(
      `analysis by ${restartBy}: exactly the figures of the file (${airport}: ${flights}, mean delay ${mean} min)`,
    );
    return true;
  }
  say(`analysis by ${restartBy}: ${found.length} figures differ from the file`);
  for (const line of found.slice(0, 10)) say(`  ${line}`);
  return false;
}

const folder = mkdtempSync(join(tmpdir(), "millrace-example-"));
process.once("exit", () => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
try {
  const equal = await run(folder);
  say(equal ? "ok: nothing lost, nothing counted twice" : "failed: the figures differ");
  process.exitCode = equal ? 0 : 1;
} catch (error) {
  say(`failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
