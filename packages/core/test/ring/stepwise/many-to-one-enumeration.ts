import { type Death, Explorer } from "./explorer.ts";
import {
  type Produced,
  prepareScenario,
  type Scenario,
  type StepwiseRingClass,
} from "./many-to-one-scenario.ts";
import { importStepwise, type Mutation } from "./stepwise-source.ts";

const COMPILED = new URL("../../../src/ring/many-to-one-ring-buffer.js", import.meta.url);
const RING_BYTES = 128;
/** Positions count units of 8 bytes in 32 bits. */
const WRAP = 2 ** 35;
const SIGN = 2 ** 34;

const commit = (length: number): Produced => ({ length, end: "commit" });
const abort = (length: number): Produced => ({ length, end: "abort" });
const shorten = (length: number, end: number): Produced => ({ length, end });

async function ringClass(explorer: Explorer, mutation?: Mutation): Promise<StepwiseRingClass> {
  const module = await importStepwise(COMPILED, explorer, mutation);
  return module.ManyToOneRingBuffer as StepwiseRingClass;
}

/** One scenario from several starts, so many units before each edge. */
function from(
  edges: readonly number[],
  units: readonly number[],
  scenario: Omit<Scenario, "startPosition">,
): Scenario[] {
  return edges.flatMap((edge) => units.map((before) => ({ ...scenario, startPosition: edge - 8 * before })));
}

const live = (thorough: boolean): Scenario[] => [
  ...from([WRAP], [2], {
    name: "payloads that end inside a word",
    before: [],
    producers: [[shorten(8, 3)], [shorten(8, 8)]],
    consumer: "rr",
  }),
  ...from(thorough ? [RING_BYTES, WRAP, SIGN] : [WRAP], thorough ? [3, 2, 1, 0] : [1, 0], {
    name: "records of one and two units",
    before: [],
    producers: [[commit(8)], [commit(0), commit(8)]],
    consumer: "rr",
  }),
  ...from([WRAP], thorough ? [3, 2, 1, 0] : [1], {
    name: "aborted and shortened claims",
    before: thorough ? [0] : [],
    producers: [[abort(8), commit(0)], [shorten(8, 0)]],
    consumer: thorough ? "rr" : "r",
  }),
  ...from([WRAP], thorough ? [3, 2, 1, 0] : [1], {
    name: "a ring that is full but for two units",
    before: [8, 8, 8, 8, 8, 8, 8],
    producers: [[commit(8)], [commit(thorough ? 8 : 0)]],
    consumer: thorough ? "22" : "2",
  }),
];

/** More steps than any claim, fill and commit takes. */
const STEPS_MAX = 16;

/** The first producer dies after each number of steps. */
const deaths = (thorough: boolean): Scenario[] => [
  ...from([WRAP], thorough ? [3, 2, 1, 0] : [2, 1], {
    name: "a death at any step, found when all is quiet",
    before: [],
    producers: [[commit(8)], [commit(8)]],
    consumer: "r",
  }),
  ...from([WRAP], [1], {
    name: "a death while a claim is aborted",
    before: [8],
    producers: [[abort(8)], [commit(8)]],
    consumer: "r",
  }),
  ...from([WRAP], [1], {
    name: "a death while a claim is shortened",
    before: [8],
    producers: [[shorten(8, 0)], [commit(8)]],
    consumer: "r",
  }),
];

/**
 * The first producer has died at the head before the others start; the consumer unblocks while they go on. Nobody else has an
 * unwritten claim between the dead one and the end of the region: here a living thread may stand still for as long as it takes,
 * which `unblock` must not be told of.
 */
const blocked = (thorough: boolean): Scenario[] =>
  from([WRAP], thorough ? [8, 2, 1] : [8, 1], {
    name: "a death at the head, found while others claim behind it",
    before: [],
    producers: [[commit(8)], [commit(8), commit(0)]],
    consumer: "uurr",
  });

const EVERY_STEP = Array.from({ length: STEPS_MAX }, (_, step) => step);

/** After how many of its steps the first producer, alone, has something claimed and not committed. */
function stepsInsideTheClaim(ring: StepwiseRingClass, scenario: Scenario): number[] {
  const run = prepareScenario(new Explorer(), ring, scenario)();
  const [tail] = run.memory as [Int32Array];
  const before = tail[0];
  const steps: number[] = [];
  for (let step = 0; run.threads[0]?.next().done !== true; step++) if (tail[0] !== before) steps.push(step);
  return steps;
}

type Comment = (text: string) => void;

/** Explores the scenarios, in the ring as it is or with a mistake; each method throws the first order of steps that goes wrong. */
export class Enumeration {
  readonly #explorer: Explorer;
  readonly #ring: StepwiseRingClass;
  readonly #thorough: boolean;
  readonly #comment: Comment;

  private constructor(explorer: Explorer, ring: StepwiseRingClass, thorough: boolean, comment: Comment) {
    this.#explorer = explorer;
    this.#ring = ring;
    this.#thorough = thorough;
    this.#comment = comment;
  }

  /** The ring as it is. @param thorough from all starts, and with more records: a minute instead of seconds. */
  static async ofRing(thorough: boolean, comment: Comment): Promise<Enumeration> {
    const explorer = new Explorer();
    return new Enumeration(explorer, await ringClass(explorer), thorough, comment);
  }

  static async ofMutation(mutation: Mutation): Promise<Enumeration> {
    const explorer = new Explorer();
    return new Enumeration(explorer, await ringClass(explorer, mutation), false, () => undefined);
  }

  /** Two producers and the consumer. @param named only scenarios of this name. */
  live(named?: string): void {
    for (const scenario of live(this.#thorough))
      if (scenario.name === (named ?? scenario.name)) this.#explore(scenario, [undefined]);
  }

  /** The same, and the first producer dies after each number of steps; what it leaves is found when all is quiet. */
  deaths(): void {
    for (const scenario of deaths(this.#thorough)) {
      this.#explore(
        scenario,
        EVERY_STEP.map((steps) => ({ thread: 0, steps })),
      );
    }
  }

  /** The first producer has died inside its claim at the head; the consumer unblocks while the other one goes on. */
  blocked(): void {
    for (const scenario of blocked(this.#thorough)) {
      const inside = stepsInsideTheClaim(this.#ring, scenario);
      this.#explore(
        scenario,
        inside.map((steps) => ({ thread: 0, steps, first: true })),
      );
    }
  }

  #explore(scenario: Scenario, deaths: readonly (Death | undefined)[]): void {
    let states = 0;
    let ends = 0;
    for (const death of deaths) {
      const start = prepareScenario(this.#explorer, this.#ring, scenario, death?.thread);
      const found = this.#explorer.explore(start, death);
      states += found.states;
      ends += found.ends;
    }
    this.#comment(`${scenario.name} at ${scenario.startPosition}: ${states} states, ${ends} ends`);
  }
}
