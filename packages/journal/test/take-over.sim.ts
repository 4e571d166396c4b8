import t from "tap";
import { SeededRandom, type SimulatedStorage, type Storage } from "../src/internal.ts";
import { DelegatingStorage } from "./broken-storage.ts";
import { InterruptedStorage } from "./interrupted-storage.ts";
import type { ModelEntry } from "./journal-model.ts";
import { ScriptedLife } from "./scripted-life.ts";
import { seedOfRun } from "./seed-of-run.ts";
import { Successor } from "./successor.ts";

/**
 * Two owners of one folder. The first is stopped before a call of its storage, whichever: then somebody takes the shard over
 * and serves; then the first goes on as if nothing had happened, in the middle of whatever it was doing. Nothing that it had
 * reported is lost, nothing that it does from then on is ever seen, nothing of its successor's is harmed, and it reports no
 * more. Its life does everything that a journal does (see crash-everywhere).
 */
const { first: seed } = seedOfRun();
/** Calls at which a life is stopped; MILLRACE_STOPS=all: at each. */
const STOPS = process.env.MILLRACE_STOPS === "all" ? Number.POSITIVE_INFINITY : 80;
const ROUNDS = 40;
const TIMEOUT_MS = 600_000;

t.setTimeout(TIMEOUT_MS);

interface TakenOver {
  readonly calls: number;
  readonly failure: string | undefined;
}

/** What an owner does otherwise than it should, to prove that this notices. */
interface Breakage {
  readonly first?: (storage: Storage) => Storage;
  readonly successor?: (storage: Storage) => Storage;
}

/** @param stopAt the call before which the first owner is stopped; Infinity: it never is. */
function takeOverAt(stopAt: number, broken: Breakage = {}): TakenOver {
  let interrupted: InterruptedStorage | undefined;
  let successor: Successor | undefined;
  let reported = 0;
  const life = new ScriptedLife(seed, {
    wrap: (storage: Storage) => {
      interrupted = new InterruptedStorage(storage, stopAt, () => {
        life.storage.capacityBytes = Number.POSITIVE_INFINITY;
        reported = life.reportedPosition;
        const { model } = life.shard;
        successor = new Successor(seed + stopAt, life.storage, model, reported, broken.successor);
        successor.open();
        successor.serve(2);
      });
      return broken.first?.(interrupted) ?? interrupted;
    },
  });
  const calls = (): number => interrupted?.calls ?? 0;
  try {
    try {
      life.live();
    } catch (error) {
      // What it makes of having lost everything is its own affair, once it was replaced.
      if (successor === undefined) throw error;
    }
    if (successor === undefined) return { calls: calls(), failure: undefined };
    life.storage.capacityBytes = Number.POSITIVE_INFINITY;
    // Stopped before it had claimed an epoch it takes over from its successor in turn.
    const isNewer = life.epoch > successor.epoch;
    if (!isNewer) {
      if (life.reportedPosition > reported) throw new Error("it reported a commit after it was replaced");
      successor.check();
      successor.serve(2);
      successor.check();
    }
    const ends = new SeededRandom(seed + stopAt).below(3);
    if (ends === 0) successor.close();
    else life.storage.restart(ends === 1 ? "power" : "process");
    const next = new Successor(seed, life.storage, successor.shard.model, successor.reportedPosition);
    next.open();
    next.serve(1);
    next.checkAtRest();
    return { calls: calls(), failure: undefined };
  } catch (error) {
    return { calls: calls(), failure: `stopped at call ${stopAt}: ${(error as Error).stack}` };
  }
}

/** @returns what went wrong, at some of the calls; no more than `failuresMax` */
function takeOverEverywhere(
  stopsMax: number,
  failuresMax: number,
  broken?: Breakage,
): { stops: number; calls: number; failures: string[] } {
  const { calls, failure } = takeOverAt(Number.POSITIVE_INFINITY, broken);
  if (failure !== undefined) return { stops: 0, calls, failures: [failure] };
  const random = new SeededRandom(seed);
  const stride = Math.max(1, calls / stopsMax);
  const failures: string[] = [];
  let stops = 0;
  for (let at = 0; at < calls && failures.length < failuresMax; at += stride) {
    const stopAt = Math.min(calls - 1, Math.floor(at + (random.below(1000) / 1000) * stride));
    const taken = takeOverAt(stopAt, broken);
    if (taken.failure !== undefined) failures.push(taken.failure);
    stops++;
  }
  return { stops, calls, failures };
}

t.test("an owner that is stopped before any call of its storage, and goes on when it was replaced", (t) => {
  const { stops, calls, failures } = takeOverEverywhere(STOPS, 3);
  t.same(failures, [], `MILLRACE_SEED=${seed}: ${stops} stops in ${calls} calls`);
  t.end();
});

/** Believes that it owns the shard, come what may. */
class Unfenced extends DelegatingStorage {
  override exists(path: string): boolean {
    return path.includes("/owner-") || super.exists(path);
  }
}

/** Leaves the temporary files of the owner before. */
class Untidy extends DelegatingStorage {
  override list(path: string): string[] {
    return super.list(path).filter((name) => !name.endsWith(".tmp"));
  }
}

for (const [name, broken] of [
  ["that never looks at its claim", { first: (storage: Storage) => new Unfenced(storage) }],
  ["whose temporary files stay", { successor: (storage: Storage) => new Untidy(storage) }],
] as const) {
  t.test(`which an owner ${name} does not survive`, (t) => {
    const { stops, failures } = takeOverEverywhere(
      name.startsWith("whose") ? Number.POSITIVE_INFINITY : 30,
      1,
      broken,
    );
    t.equal(failures.length, 1, `MILLRACE_SEED=${seed}: noticed after ${stops} stops`);
    t.comment(failures[0]?.split("\n")[0]);
    t.end();
  });
}

/** A machine on which a life has ended, with everything in the folder. */
function lived(): { storage: SimulatedStorage; model: readonly ModelEntry[]; reported: number } {
  const life = new ScriptedLife(seed);
  life.live();
  life.storage.capacityBytes = Number.POSITIVE_INFINITY;
  return { storage: life.storage, model: life.shard.model, reported: life.reportedPosition };
}

t.test("two who take a shard over at the same time never have it both", (t) => {
  const { storage: whole, model, reported } = lived();
  let stops = 0;
  for (let stopAt = 0; ; stopAt++) {
    const storage = whole.clone(new SeededRandom(seed + stopAt));
    const fast = new Successor(seed + stopAt, storage, model, reported);
    let interrupted: InterruptedStorage | undefined;
    const slow = new Successor(seed, storage, model, reported, (inner) => {
      interrupted = new InterruptedStorage(inner, stopAt, () => {
        fast.open();
        fast.serve(1);
      });
      return interrupted;
    });
    const where = `MILLRACE_SEED=${seed}, stopped at call ${stopAt}`;
    let last = fast;
    try {
      slow.open(() => (fast.epoch > 0 ? fast.told : { model, floor: reported }));
      last = slow;
    } catch (error) {
      if ((error as { code?: string }).code !== "JOURNAL_FAILED")
        t.fail(`${where}: ${(error as Error).stack}`);
    }
    if ((interrupted?.calls ?? 0) <= stopAt) break;
    stops++;
    t.equal(last === slow, slow.epoch > fast.epoch, `${where}: the higher epoch has it`);
    last.serve(1);
    last.check();
    storage.restart("power");
    const next = new Successor(seed, storage, last.shard.model, last.told.floor);
    next.open();
    next.checkAtRest();
  }
  t.ok(stops > 50, `${stops} stops`);
  t.end();
});

t.test("an owner that works on while it is replaced", (t) => {
  const { storage: whole, model, reported } = lived();
  for (let round = 0; round < ROUNDS; round++) {
    const random = new SeededRandom(seed + round);
    const storage = whole.clone(random);
    const first = new Successor(seed + round, storage, model, reported);
    first.open();
    for (let steps = random.below(60); steps > 0; steps--) first.step();
    const chance = random.pick([0.1, 0.5, 1]);
    const second = new Successor(seed - round, storage, model, reported, (inner) => {
      const interrupted: InterruptedStorage = new InterruptedStorage(inner, undefined, () => {
        if (random.chance(chance)) first.step();
      });
      return interrupted;
    });
    try {
      second.open(() => first.told);
      const { floor } = first.told;
      second.serve(2);
      second.check();
      t.equal(first.told.floor, floor, "it reports no commit any more");
      storage.restart(random.pick(["power", "process"]));
      const next = new Successor(seed, storage, second.shard.model, second.told.floor);
      next.open();
      next.serve(1);
      next.checkAtRest();
    } catch (error) {
      t.fail(`MILLRACE_SEED=${seed} round=${round}: ${(error as Error).stack}`);
    }
  }
  t.end();
});
