import type { Generator, LoadTask, Repetition } from "@millrace/load";
import { delay, monotonicMs } from "@millrace/load/internal";
import { MeasuredWindow, type Progress } from "./measured-window.ts";
import type { SubjectRun, TaskRequest } from "./subject-run.ts";

const POLL_MS = 5;
/** Nothing has come for so long: it will not come any more. */
const STALL_MS = 15_000;
/** For what is under way when everything has been sent. */
const DRAIN_MS = 60_000;
/** Further than anything here goes on. */
const FAR_MS = 600_000;

export interface Backlog {
  readonly target: string;
  readonly records: number;
  readonly settings: TaskRequest["settings"];
}

/** How many records of that size the plan wants in a log before it is read. */
export function backlogRecords(run: SubjectRun, valueBytes: number): number {
  return Math.ceil(run.plan.backlogBytes / (valueBytes + OVERHEAD_BYTES));
}

/** Of a record in a log, roughly: it bounds what a backlog of small values takes. */
const OVERHEAD_BYTES = 28;

/** Publishes so many records, and resolves when all of them are acknowledged. */
export async function publishBacklog(run: SubjectRun, backlog: Backlog): Promise<void> {
  const { target, records, settings } = backlog;
  const task = run.task({
    role: "publish",
    recordsMax: records,
    settings: { ...settings, target },
  });
  await withGenerators(run, [task], async ([publisher]) => {
    if (publisher === undefined) return;
    await publisher.prepare();
    await publisher.connect();
    const startAtMs = monotonicMs();
    await publisher.start({ startAtMs, windowStartMs: startAtMs, windowEndMs: startAtMs + FAR_MS });
    await untilSent(publisher, records, (done) =>
      run.context.say(
        `${run.subject.name}: ${millions(done)} of ${millions(records)} records published before`,
      ),
    );
    const { recordsInAll } = await publisher.drain(DRAIN_MS);
    if (recordsInAll < records)
      throw new Error(`only ${recordsInAll} of ${records} records of the backlog were acknowledged`);
  });
}

/** Of the backlog, what is read before the window begins: the processes are fresh, and nothing in them is compiled yet. */
const WARM_UP_SHARE = 0.2;

/** Reads so many records that are there already, with these consumers together, and measures all but the first of it. */
export async function readBacklog(
  run: SubjectRun,
  tasks: readonly LoadTask[],
  records: number,
): Promise<Repetition> {
  return await withGenerators(run, tasks, async (consumers) => {
    for (const consumer of consumers) await consumer.prepare();
    const clients = consumers.flatMap(({ process }) => process ?? []);
    await Promise.all(consumers.map((consumer) => consumer.connect()));
    const from = await untilRecords(consumers, records * WARM_UP_SHARE, () => undefined);
    const window = new MeasuredWindow({ broker: run.running.processes, clients }, from);
    const to = await untilRecords(consumers, records, () => undefined, window);
    return window.close(to, tasks[0]?.settings.valueBytes ?? 0);
  });
}

/** Lends generators, and ends them in any case, also when one of them fails meanwhile. */
export async function withGenerators<T>(
  run: SubjectRun,
  tasks: readonly LoadTask[],
  use: (generators: readonly Generator[]) => Promise<T>,
): Promise<T> {
  const fleet = run.fleet();
  const generators: Generator[] = [];
  try {
    for (const [index, task] of tasks.entries()) {
      generators.push(await fleet.open(task, `${task.role} generator ${index + 1}`));
    }
    return await Promise.race([use(generators), ...generators.map(({ failure }) => failure)]);
  } finally {
    await Promise.all(generators.map((generator) => generator.end()));
  }
}

/** Resolves once the client has taken so many records. @throws Error when it takes none any more */
async function untilSent(
  publisher: Generator,
  records: number,
  onRecords: (records: number) => void,
): Promise<void> {
  let last = 0;
  let movedMs = monotonicMs();
  for (;;) {
    const { timeMs, sent } = await publisher.progress();
    if (sent >= records) return;
    if (sent > last) movedMs = timeMs;
    else if (timeMs - movedMs > STALL_MS) throw new Error(`only ${sent} of ${records} records were taken`);
    last = sent;
    onRecords(sent);
    await delay(POLL_MS);
  }
}

/** Resolves once they have so many records together. @throws Error when nothing comes any more */
export async function untilRecords(
  generators: readonly Generator[],
  records: number,
  onRecords: (records: number) => void,
  window?: MeasuredWindow,
): Promise<Progress> {
  let last = 0;
  let movedMs = monotonicMs();
  let tickedMs = movedMs;
  for (;;) {
    const progress = await progressOf(generators);
    if (progress.records >= records) return progress;
    if (progress.records > last) movedMs = progress.timeMs;
    else if (progress.timeMs - movedMs > STALL_MS)
      throw new Error(`only ${progress.records} of ${records} records came`);
    last = progress.records;
    if (progress.timeMs - tickedMs >= 250) {
      tickedMs = progress.timeMs;
      window?.tick(progress);
      onRecords(progress.records);
    }
    await delay(POLL_MS);
  }
}

export async function progressOf(generators: readonly Generator[]): Promise<Progress> {
  const each = await Promise.all(generators.map((generator) => generator.progress()));
  return {
    timeMs: Math.max(...each.map(({ timeMs }) => timeMs)),
    records: each.reduce((sum, { records }) => sum + records, 0),
  };
}

function millions(records: number): string {
  return `${(records / 1e6).toFixed(1)} M`;
}
