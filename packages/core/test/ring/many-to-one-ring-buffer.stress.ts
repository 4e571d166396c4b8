import { once } from "node:events";
import { Worker } from "node:worker_threads";
import t from "tap";
import { ManyToOneRingBuffer } from "../../src/index.ts";
import { seeded, seedOfRun } from "../seeded.ts";
import { stressRuns } from "../stress-time.ts";
import {
  type Death,
  type ManyToOneMessage,
  type ManyToOneWorkerData,
  Signal,
} from "./many-to-one-stress-plan.ts";

/** A thread that got nowhere for so long will not get anywhere. */
const STALLED_MS = 120_000;
const PRODUCERS = 3;

interface Case {
  readonly name: string;
  readonly capacity: number;
  readonly lengthMax: number;
  /** Records of each producer. */
  readonly count: number;
  /** How the first producer, and then each of its successors, dies. */
  readonly deaths: readonly Death[];
}

const CASES: readonly Case[] = [
  { name: "a small ring, always full or empty", capacity: 512, lengthMax: 56, count: 20_000, deaths: [] },
  {
    name: "records of up to an eighth of the ring",
    capacity: 65_536,
    lengthMax: 8_184,
    count: 1_500,
    deaths: [],
  },
  { name: "short records in a large ring", capacity: 2 ** 20, lengthMax: 24, count: 150_000, deaths: [] },
  {
    name: "a producer terminated between claim and commit, while the others go on",
    capacity: 4_096,
    lengthMax: 200,
    count: 20_000,
    deaths: ["inside the claim", "inside the claim", "inside the claim", "inside the claim"],
  },
  {
    name: "a producer terminated before it wrote its claim's length",
    capacity: 4_096,
    lengthMax: 200,
    count: 20_000,
    deaths: ["before the claim's header", "before the claim's header", "before the claim's header"],
  },
  {
    name: "a producer terminated wherever it is",
    capacity: 4_096,
    lengthMax: 200,
    count: 60_000,
    deaths: ["anywhere", "anywhere", "anywhere", "anywhere", "anywhere"],
  },
];

class StressRun {
  readonly #case: Case;
  readonly #seed: number;
  readonly #ring: SharedArrayBuffer;
  readonly #signals: Int32Array<SharedArrayBuffer>;
  readonly #workers = new Set<Worker>();
  readonly #deaths: Death[];
  readonly #random: { below(bound: number): number };
  #settle: (outcome: string) => void = () => undefined;

  constructor(stress: Case, seed: number) {
    this.#case = stress;
    this.#seed = seed;
    this.#random = seeded(seed);
    // Positions pass the wrap at 32 GiB on the way.
    this.#ring = ManyToOneRingBuffer.allocate(stress.capacity, 2 ** 35 - 4 * stress.capacity);
    this.#signals = new Int32Array(new SharedArrayBuffer(Signal.WORDS * 4));
    this.#signals[Signal.LIVING] = PRODUCERS;
    this.#deaths = [...stress.deaths];
  }

  /** @returns "ok" with what was counted, or what went wrong. */
  async run(): Promise<string> {
    const ended = new Promise<string>((resolve) => {
      this.#settle = resolve;
    });
    const timer = setTimeout(() => {
      const words = new Int32Array(this.#ring).subarray(0, 128);
      this.#settle(
        `stalled: signals=${this.#signals.join()} control=${words.filter((word) => word !== 0).join()}`,
      );
    }, STALLED_MS);
    this.#start("consumer", 0, 0);
    for (let which = 0; which < PRODUCERS; which++) this.#start("producer", which, 0);
    const outcome = await ended;
    clearTimeout(timer);
    await Promise.all([...this.#workers].map((worker) => worker.terminate()));
    return outcome;
  }

  #start(role: "producer" | "consumer", which: number, first: number): void {
    const { count, lengthMax } = this.#case;
    const death = role === "producer" && which === 0 ? this.#deaths.shift() : undefined;
    const left = count - first;
    const mortal =
      death === undefined
        ? {}
        : { death, dieAt: first + this.#random.below(Math.ceil(left / (this.#deaths.length + 2))) };
    const workerData: ManyToOneWorkerData = {
      role,
      which,
      first,
      ring: this.#ring,
      signals: this.#signals.buffer,
      parties: PRODUCERS + 1,
      producers: PRODUCERS,
      count,
      lengthMax,
      seed: this.#seed,
      ...mortal,
    };
    const worker = new Worker(new URL("./many-to-one-ring-buffer-worker.js", import.meta.url), {
      workerData,
    });
    this.#workers.add(worker);
    worker.on("error", (error) => this.#settle(String(error.stack)));
    worker.on("message", (message: ManyToOneMessage) => this.#receive(worker, message));
  }

  #receive(worker: Worker, message: ManyToOneMessage): void {
    if (message.kind === "failed") this.#settle(message.text);
    else if (message.kind === "done") this.#settle(`ok ${JSON.stringify(message.counts)}`);
    else if (message.kind === "recovered") this.#start("producer", 0, message.next);
    else void this.#kill(worker, message.index);
  }

  async #kill(worker: Worker, index: number): Promise<void> {
    const exited = once(worker, "exit");
    await worker.terminate();
    await exited;
    this.#workers.delete(worker);
    Atomics.store(this.#signals, Signal.DEAD, index);
  }
}

for (const stress of CASES) {
  t.test(stress.name, async (t) => {
    for (const seed of stressRuns(seedOfRun(), CASES.length)) {
      t.comment(`MILLRACE_SEED=${seed}`);
      const outcome = await new StressRun(stress, seed).run();
      if (!t.match(outcome, /^ok /, `MILLRACE_SEED=${seed}`)) return;
      t.comment(outcome);
      const { recoveries } = JSON.parse(outcome.slice(3)) as { recoveries: number };
      t.equal(recoveries, stress.deaths.length, "each death was recovered from");
    }
  });
}
