// Data server and analysis server, with a broker between them. The analysis server is killed half-way and goes on
// from the moment of failure, once by offset and once by time; both must end with the figures of the file.
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "@millrace/client";
import { addFlight, differences, type FiguresByAirport } from "./airport-figures.ts";
import { loadState } from "./analysis-state.ts";
import { startBroker } from "./broker-process.ts";
import { endProcess, messageFrom, startServer } from "./child-process.ts";
import { FLIGHT_COUNT, readFlights } from "./flight-file.ts";

const TOPIC = "flights";
const PARTITIONS = 4;
const FLIGHTS_PER_SECOND = 50_000;
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

async function run(folder: string): Promise<boolean> {
  const expected: FiguresByAirport = {};
  for (const flight of await readFlights()) addFlight(expected, flight);
  say(`file: ${FLIGHT_COUNT} flights from ${Object.keys(expected).length} airports`);

  const broker = await startBroker(join(folder, "broker"));
  children.add(broker.process);
  const client = await connect(broker.url);
  const topic = await client.topics.create(TOPIC, { partitions: PARTITIONS });
  await client.close();
  say(`broker: ${broker.url}, topic ${TOPIC} with ${PARTITIONS} partitions, ${topic.durability}`);

  const [byOffset, byTime] = await Promise.all([
    analyse(broker.url, folder, "offset"),
    analyse(broker.url, folder, "time"),
    replay(broker.url),
  ]);
  const brokerExitCode = await endProcess(broker.process, "SIGTERM");
  if (brokerExitCode !== 0) say(`broker: ended with ${brokerExitCode} instead of 0`);
  const equal = [report("offset", byOffset, expected), report("time", byTime, expected)];
  return equal.every(Boolean) && brokerExitCode === 0;
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
