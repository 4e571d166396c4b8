import type { Durability, Repetition, ResultRow } from "@millrace/load";
import type { SubjectRun, SuiteContext } from "../run/subject-run.ts";
import type { SuiteOptions } from "../run/suite-options.ts";
import type { NativeRequest, ScenarioName, Subject } from "../subjects/subject.ts";

/** What goes into the row, and what a reader compares rows by. */
export type Parameters = Readonly<Record<string, number | string | boolean>>;

/** One set of parameters of a scenario: a row for each subject that takes part. */
export interface ScenarioCase {
  readonly durability: Durability;
  readonly parameters: Parameters;
  readonly partitions: number;
  /** What the subject is started with. */
  readonly wants?: { readonly tls?: boolean };
  /** false: this subject cannot take part in this case, for a reason that `Subject.supports` does not know. */
  accepts?(subject: Subject): boolean;
  /** What the native tools of the subjects are asked for; without it they are not. */
  readonly native?: Omit<NativeRequest, "children" | "folder" | "scenario" | "durability" | "durationMs">;
  /** One repetition, against a broker that was started for it. */
  measure(run: SubjectRun): Promise<Repetition>;
}

export interface Scenario {
  readonly name: ScenarioName;
  /** One line, for --list. */
  readonly description: string;
  cases(options: SuiteOptions): readonly ScenarioCase[];
  /** What verdicts measure against that is no broker. */
  yardstick?(context: SuiteContext): Promise<readonly ResultRow[]>;
}

export const DURABILITIES: readonly Durability[] = ["memory", "written", "fsynced"];
export const VALUE_BYTES = 100;
export const BATCH_BYTES: number = 64 * 1024;
export const LINGER_MS = 1;
/** Nothing waits for a batch where there are none. */
export function lingerOf(options: SuiteOptions, batchBytes: number): number {
  return batchBytes === 0 ? 0 : (options.lingerMs ?? LINGER_MS);
}

/** What was asked for, or else the scenario's own choice. */
export function chosen<T>(asked: readonly T[], own: readonly T[]): readonly T[] {
  return asked.length > 0 ? asked : own;
}

/** 100 B; all the sizes with --full. */
export function valueSizes(options: SuiteOptions): readonly number[] {
  return chosen(
    options.valueBytes,
    options.mode === "full" ? [16, VALUE_BYTES, 1024, 16_384] : [VALUE_BYTES],
  );
}

/** All combinations, the last list fastest. */
export function combinations<A, B>(first: readonly A[], second: readonly B[]): [A, B][] {
  return first.flatMap((a) => second.map((b): [A, B] => [a, b]));
}
