import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { DriverSettings, Durability, Fleet, LoadRole, LoadTask, RunProgress } from "@millrace/load";
import type { ChildProcesses } from "@millrace/load/internal";
import type { RunningSubject, ScenarioName, Subject } from "../subjects/subject.ts";
import type { SuitePlan } from "./suite-plan.ts";

/** What all runs share. */
export interface SuiteContext {
  readonly children: ChildProcesses;
  /** Temporary; removed when the suite ends. */
  readonly folder: string;
  readonly plan: SuitePlan;
  /** Before each sample: what the one before has left to the kernel is written back, and free memory filled with page cache. */
  prepareMachine(): Promise<void>;
  openFleet(): Fleet;
  say(text: string): void;
  onProgress(progress: RunProgress): void;
}

export interface RunRequest {
  readonly subject: Subject;
  readonly scenario: ScenarioName;
  readonly durability: Durability;
  readonly partitions: number;
  readonly wants?: { readonly tls?: boolean };
  readonly round: number;
}

/** A task without what the run knows itself. */
export interface TaskRequest {
  readonly role: LoadRole;
  readonly connections?: number;
  readonly recordsPerSecond?: number | null;
  readonly keys?: number;
  readonly burst?: number;
  readonly inFlightMax?: number;
  readonly recordsMax?: number;
  readonly settings: Partial<DriverSettings> & Pick<DriverSettings, "valueBytes" | "batchBytes" | "lingerMs">;
}

/** Pipelining, as far as a client goes by itself. */
const IN_FLIGHT_MAX = 1_000_000;
const BURST_RECORDS = 64;
/** Messages that one connection of a queue may have in hand. */
const SLOTS = 4_096;

/** One broker that was started for one repetition, with a data folder of its own. */
export class SubjectRun {
  readonly subject: Subject;
  readonly context: SuiteContext;
  readonly round: number;
  readonly folder: string;
  /** For the row: what a reader has to know. */
  readonly notes: Set<string> = new Set();
  /** What was set besides what the running subject says itself. */
  readonly settings: Set<string> = new Set();
  /** The client library, once a generator has said it. */
  client: string | undefined;
  readonly #request: RunRequest;
  readonly #fleets: Fleet[] = [];
  #running: RunningSubject | undefined;

  private constructor(context: SuiteContext, request: RunRequest, folder: string) {
    this.context = context;
    this.subject = request.subject;
    this.round = request.round;
    this.folder = folder;
    this.#request = request;
  }

  static async open(context: SuiteContext, request: RunRequest): Promise<SubjectRun> {
    const folder = join(context.folder, `${request.subject.name}-${request.round}`);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const run = new SubjectRun(context, request, folder);
    try {
      await run.start();
      return run;
    } catch (error) {
      await run.close();
      throw error;
    }
  }

  /** @throws Error while it does not run */
  get running(): RunningSubject {
    if (this.#running === undefined) throw new Error(`${this.subject.name} does not run`);
    return this.#running;
  }

  get plan(): SuitePlan {
    return this.context.plan;
  }

  get durability(): Durability {
    return this.#request.durability;
  }

  /** On what the folder holds. */
  async start(): Promise<void> {
    const { children } = this.context;
    const { durability, partitions, wants } = this.#request;
    this.#running = await this.subject.start({
      children,
      folder: this.folder,
      durability,
      partitions,
      ...(wants === undefined ? {} : { wants }),
    });
  }

  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.stop();
  }

  /** kill -9 for all of its processes. */
  async kill(): Promise<void> {
    const { processes } = this.running;
    this.#running = undefined;
    await Promise.all(processes.map(({ pid }) => this.context.children.kill(pid)));
  }

  /** Generators in processes of their own, ended with the run. */
  fleet(): Fleet {
    const fleet = this.context.openFleet();
    this.#fleets.push(fleet);
    return fleet;
  }

  driverSettings(settings: TaskRequest["settings"]): DriverSettings {
    const { subject, durability, scenario, partitions } = this.#request;
    return {
      endpoint: this.running.endpoint,
      target: "bench",
      partitions,
      durability,
      stamped: false,
      mode: "stream",
      from: "latest",
      subscription: "bench",
      slots: SLOTS,
      options: subject.driverOptions?.(scenario, durability) ?? {},
      ...settings,
    };
  }

  task(request: TaskRequest): LoadTask {
    const { role, connections = 1, recordsPerSecond = null, keys = 0, recordsMax } = request;
    return {
      driver: this.subject.driver,
      settings: this.driverSettings(request.settings),
      role,
      connections,
      recordsPerSecond,
      keys,
      burst: request.burst ?? BURST_RECORDS,
      inFlightMax: request.inFlightMax ?? IN_FLIGHT_MAX,
      ...(recordsMax === undefined ? {} : { recordsMax }),
    };
  }

  /** Ends everything and removes the data. */
  async close(): Promise<void> {
    for (const fleet of this.#fleets) await fleet.close();
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
