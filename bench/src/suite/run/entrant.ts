import type { Driver, LoadKind, Repetition } from "@millrace/load";
import { monotonicMs } from "@millrace/load/internal";
import type { ScenarioCase } from "../scenarios/scenario.ts";
import type { NativeRequest, NativeTool, ScenarioName, Subject } from "../subjects/subject.ts";
import { MeasuredWindow } from "./measured-window.ts";
import type { SubjectRun, SuiteContext } from "./subject-run.ts";

/** One way to load one broker in one case: a row of its own. */
export interface Entrant {
  readonly subject: Subject;
  readonly kind: LoadKind;
  /** For progress. */
  readonly label: string;
  /** Client library or native tool, as the row says it. */
  client(): Promise<string>;
  measure(run: SubjectRun): Promise<Repetition>;
}

/** Who takes part in a case: each subject's driver, and the tools that come with it. */
export function entrantsOf(
  context: SuiteContext,
  scenario: ScenarioName,
  scenarioCase: ScenarioCase,
  subjects: readonly Subject[],
): Entrant[] {
  const { durability, native } = scenarioCase;
  const takesPart = (subject: Subject): boolean =>
    subject.durabilities.includes(durability) &&
    subject.supports(scenario, durability) &&
    scenarioCase.accepts?.(subject) !== false;
  /** Of a raw subject: whether the same broker is in the case with its client. */
  const hasClient = (raw: Subject): boolean =>
    raw.kind === "raw" &&
    subjects.some(
      (subject) => subject.kind === "client" && rowSubject(subject) === rowSubject(raw) && takesPart(subject),
    );
  return subjects.flatMap((subject) => {
    if (!subject.durabilities.includes(durability)) return [];
    const entrants: Entrant[] = [];
    if (takesPart(subject) && !(context.plan.clientsOnly && hasClient(subject)))
      entrants.push(drivenEntrant(subject, scenarioCase));
    if (native === undefined) return entrants;
    const { children, folder, plan } = context;
    const request = { ...native, scenario, durability, children, folder, durationMs: plan.durationMs };
    for (const tool of subject.nativeTools ?? []) {
      if (tool.supports(scenario, request)) entrants.push(nativeEntrant(subject, tool, request));
    }
    return entrants;
  });
}

/** A broker is called the same in all of its rows. */
export function rowSubject({ name, kind }: Subject): string {
  return kind === "raw" ? name.replace(/-raw$/, "") : name;
}

function drivenEntrant(subject: Subject, scenarioCase: ScenarioCase): Entrant {
  return {
    subject,
    kind: subject.kind,
    label: subject.kind === "raw" ? `${rowSubject(subject)} raw` : subject.name,
    client: async () => ((await import(subject.driver)) as { driver: Driver }).driver.client,
    measure: (run) => scenarioCase.measure(run),
  };
}

function nativeEntrant(subject: Subject, tool: NativeTool, request: NativeRequest): Entrant {
  return {
    subject,
    kind: "native",
    label: `${subject.name} by ${tool.name}`,
    client: async () => `${tool.name} (${tool.language})`,
    measure: (run) => measureNative(run, tool, request),
  };
}

/** The tool's own figures, and the broker's CPU of the whole run, start and end of the tool included. */
async function measureNative(run: SubjectRun, tool: NativeTool, request: NativeRequest): Promise<Repetition> {
  const { processes } = run.running;
  const from = { timeMs: monotonicMs(), records: 0 };
  const window = new MeasuredWindow({ broker: processes, clients: [] }, from);
  const result = await tool.run(run.running, { ...request, folder: run.folder });
  const timeMs = monotonicMs();
  const wallSeconds = (timeMs - from.timeMs) / 1000;
  const seconds = result.seconds ?? wallSeconds;
  const records = result.records ?? result.recordsPerSecond * seconds;
  const whole = window.close({ timeMs, records }, request.valueBytes);
  for (const line of result.settings) run.settings.add(line);
  for (const note of result.notes ?? []) run.notes.add(note);
  const perMillion = (cpuSeconds: number | undefined): number | undefined =>
    cpuSeconds === undefined || records === 0 ? undefined : (cpuSeconds * 1e6) / records;
  const { p50, p99, max } = result.latency ?? {};
  return {
    ...whole,
    seconds,
    recordsPerSecond: result.recordsPerSecond,
    bytesPerSecond: (result.deliveriesPerSecond ?? result.recordsPerSecond) * request.valueBytes,
    ...(result.deliveriesPerSecond === undefined ? {} : { deliveriesPerSecond: result.deliveriesPerSecond }),
    brokerCpuSecondsPerMillion: perMillion(result.brokerCpuSeconds) ?? whole.brokerCpuSecondsPerMillion,
    clientCpuSecondsPerMillion: perMillion(result.clientCpuSeconds) ?? 0,
    clientCores: (result.clientCpuSeconds ?? 0) / wallSeconds,
    busyThreads: whole.brokerCores + (result.clientCpuSeconds ?? 0) / wallSeconds,
    figures: {
      ...(p50 === undefined ? {} : { toolP50Ms: p50 }),
      ...(p99 === undefined ? {} : { toolP99Ms: p99 }),
      ...(max === undefined ? {} : { toolMaxMs: max }),
    },
  };
}
