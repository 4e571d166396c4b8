import type { Repetition, ResultRow } from "@millrace/load";
import type { ScenarioCase } from "../scenarios/scenario.ts";
import type { ScenarioName } from "../subjects/subject.ts";
import { type Entrant, rowSubject } from "./entrant.ts";
import type { SubjectRun } from "./subject-run.ts";

/** Gathers the repetitions of one row. */
export class RowBuilder {
  readonly entrant: Entrant;
  readonly #scenario: ScenarioName;
  readonly #case: ScenarioCase;
  readonly #repetitions: Repetition[] = [];
  readonly #notes: Set<string> = new Set();
  readonly #settings: Set<string> = new Set();
  #version = "";
  #client = "";
  #failure: string | undefined;

  constructor(scenario: ScenarioName, scenarioCase: ScenarioCase, entrant: Entrant) {
    this.#scenario = scenario;
    this.#case = scenarioCase;
    this.entrant = entrant;
  }

  /** What a run that is still open says of itself. */
  describe(run: SubjectRun, client: string): void {
    const { version, settings } = run.running;
    this.#version = version;
    this.#client = client;
    for (const line of settings) this.#settings.add(line);
  }

  add(run: SubjectRun, repetition: Repetition): void {
    this.#repetitions.push(repetition);
    this.#client = run.client ?? this.#client;
    for (const note of run.notes) this.#notes.add(note);
    for (const line of run.settings) this.#settings.add(line);
  }

  failed(round: number, error: unknown): void {
    // Behind the first line is where it happened, or what the broker said last.
    const [message = ""] = (error instanceof Error ? error.message : String(error)).split("\n    at ");
    this.#failure = message;
    this.#notes.add(`round ${round + 1} failed: ${message}`);
  }

  row(): ResultRow {
    const { subject, kind } = this.entrant;
    const skipped =
      this.#repetitions.length > 0 ? undefined : (this.#failure ?? "interrupted before its turn");
    return {
      scenario: this.#scenario,
      subject: rowSubject(subject),
      version: this.#version,
      client: this.#client,
      kind,
      durability: this.#case.durability,
      parameters: this.#case.parameters,
      settings: [...this.#settings],
      notes: [...this.#notes],
      ...(skipped === undefined ? {} : { skipped }),
      repetitions: this.#repetitions,
    };
  }
}
