import type { Fleet, ResultRow } from "@millrace/load";
import { openFleet } from "@millrace/load";
import type { Scenario, ScenarioCase } from "../scenarios/scenario.ts";
import type { Subject } from "../subjects/subject.ts";
import { entrantsOf } from "./entrant.ts";
import { RowBuilder } from "./row-builder.ts";
import { SubjectRun, type SuiteContext } from "./subject-run.ts";
import type { SuiteOptions } from "./suite-options.ts";

/** What a run of the suite tells while it goes on. */
export interface SuiteEvents {
  /** A case is over; its rows are final. */
  rows(scenario: Scenario, rows: readonly ResultRow[]): void;
  say(text: string): void;
}

/** Runs scenario after scenario, case after case, and in each case the subjects in turn, round after round. */
export class SuiteRun {
  readonly rows: ResultRow[] = [];
  readonly #context: SuiteContext;
  readonly #options: SuiteOptions;
  readonly #events: SuiteEvents;
  #interrupted = false;

  constructor(context: SuiteContext, options: SuiteOptions, events: SuiteEvents) {
    this.#context = context;
    this.#options = options;
    this.#events = events;
  }

  /** No further sample is begun. What is under way fails once the processes are ended. */
  interrupt(): void {
    this.#interrupted = true;
  }

  async run(scenarios: readonly Scenario[], subjects: readonly Subject[]): Promise<void> {
    for (const scenario of scenarios) {
      for (const scenarioCase of scenario.cases(this.#options)) {
        if (this.#interrupted) return;
        const rows = await this.#runCase(scenario, scenarioCase, subjects);
        this.rows.push(...rows);
        if (rows.length > 0) this.#events.rows(scenario, rows);
      }
      if (this.#interrupted) return;
      const yardsticks = (await scenario.yardstick?.(this.#context)) ?? [];
      this.rows.push(...yardsticks);
      if (yardsticks.length > 0) this.#events.rows(scenario, yardsticks);
    }
  }

  async #runCase(
    scenario: Scenario,
    scenarioCase: ScenarioCase,
    subjects: readonly Subject[],
  ): Promise<ResultRow[]> {
    const entrants = entrantsOf(this.#context, scenario.name, scenarioCase, subjects);
    const builders = entrants.map((entrant) => new RowBuilder(scenario.name, scenarioCase, entrant));
    const { rounds } = this.#context.plan;
    for (let round = 0; round < rounds; round++) {
      // In the opposite order every other round: what the machine does meanwhile falls on all of them alike.
      for (const builder of round % 2 === 0 ? builders : [...builders].reverse()) {
        if (this.#interrupted) break;
        this.#events.say(`${builder.entrant.label}: ${round + 1} of ${rounds}`);
        await this.#sample(builder, scenario, scenarioCase, round);
      }
    }
    return builders.map((builder) => builder.row());
  }

  async #sample(
    builder: RowBuilder,
    scenario: Scenario,
    scenarioCase: ScenarioCase,
    round: number,
  ): Promise<void> {
    const { durability, partitions, wants } = scenarioCase;
    let run: SubjectRun | undefined;
    try {
      await this.#context.prepareMachine();
      run = await SubjectRun.open(this.#context, {
        subject: builder.entrant.subject,
        scenario: scenario.name,
        durability,
        partitions,
        ...(wants === undefined ? {} : { wants }),
        round,
      });
      builder.describe(run, await builder.entrant.client());
      builder.add(run, await builder.entrant.measure(run));
    } catch (error) {
      if (!this.#interrupted) builder.failed(round, error);
    } finally {
      await run?.close().catch(() => undefined);
    }
  }
}

/** Fleets that can be closed from outside, whoever has opened them. */
export class OpenFleets {
  readonly #fleets: Set<Fleet> = new Set();

  open(): Fleet {
    const fleet = openFleet("processes");
    this.#fleets.add(fleet);
    return {
      kind: fleet.kind,
      open: (task, label) => fleet.open(task, label),
      close: async () => {
        this.#fleets.delete(fleet);
        await fleet.close();
      },
    };
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#fleets].map((fleet) => fleet.close()));
  }
}
