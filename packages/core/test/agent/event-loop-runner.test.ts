import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { MessageChannel, Worker } from "node:worker_threads";
import t, { type Test } from "tap";
import { PARKED, STATE_WORD } from "../../src/doorbell/doorbell-layout.ts";
import { Doorbell, EventLoopRunner, type EventLoopRunnerOptions } from "../../src/index.ts";

interface Rig {
  runner: EventLoopRunner;
  /** As another thread would have it. */
  ringer: Doorbell;
  log: string[];
  rounds: () => number;
  /** Resolves when the agent has done nothing for some turns of the loop. */
  quiet: () => Promise<void>;
}

interface Script {
  doWork?: (round: number) => number;
  nextTimerMs?: () => number;
}

/** A runner whose pokes arrive in the way that `wokenBy` says; "port" makes a channel. */
function rig(
  t: Test,
  wokenBy: "port" | "wake" | "waitAsync",
  script: Script = {},
  options: Partial<EventLoopRunnerOptions> = {},
): Rig {
  const log: string[] = [];
  let rounds = 0;
  const buffer = Doorbell.allocate();
  const { port1, port2 } = new MessageChannel();
  port2.unref();
  const pokes = { port: () => port2.postMessage(null), wake: () => runner.wake(), waitAsync: undefined };
  const runner = new EventLoopRunner(
    {
      name: "looping",
      doWork: () => {
        const round = rounds++;
        return script.doWork?.(round) ?? 0;
      },
      nextTimerMs: () => script.nextTimerMs?.() ?? Number.POSITIVE_INFINITY,
      onClose: () => log.push("close"),
    },
    Doorbell.attach(buffer),
    {
      wokenBy: wokenBy === "port" ? port1 : wokenBy,
      onError: (error) => log.push(String(error)),
      ...options,
    },
  );
  t.teardown(() => {
    runner.close();
    port1.close();
  });
  const quiet = async (): Promise<void> => {
    for (let seen = -1; seen !== rounds; ) {
      seen = rounds;
      for (let turn = 0; turn < 20; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  };
  return { runner, ringer: Doorbell.attach(buffer, pokes[wokenBy]), log, rounds: () => rounds, quiet };
}

for (const wokenBy of ["port", "wake", "waitAsync"] as const) {
  t.test(`woken by ${wokenBy}: sleeps until rung, each time`, async (t) => {
    let found = (): void => {};
    let work = 0;
    const { runner, ringer, quiet, rounds, log } = rig(t, wokenBy, {
      doWork: () => {
        const done = work;
        work = 0;
        if (done > 0) found();
        return done;
      },
    });
    runner.start();
    for (let i = 0; i < 20; i++) {
      await quiet();
      const before = rounds();
      work = 1;
      await new Promise<void>((resolve) => {
        found = resolve;
        t.equal(ringer.ring(), true, "it sleeps");
      });
      await quiet();
      t.ok(rounds() - before <= 4, "one round of work, a last one, and the second look");
    }
    runner.close();
    t.same(log, ["close"]);
    t.equal(ringer.ring(), false, "nobody rings for an agent that is gone");
  });

  t.test(`woken by ${wokenBy}: comes back for its timer, and sleeps on`, async (t) => {
    let timers = 3;
    let ends = (): void => {};
    const { runner, quiet, rounds, ringer } = rig(t, wokenBy, {
      nextTimerMs: () => {
        if (timers-- > 0) return 1;
        ends();
        return Number.POSITIVE_INFINITY;
      },
    });
    const ended = new Promise<void>((resolve) => {
      ends = resolve;
    });
    runner.start();
    await ended;
    await quiet();
    t.equal(rounds(), 2 * 4, "a round and a second look for the start and each of three timers, no more");
    t.equal(ringer.ring(), true);
    await quiet();
    t.equal(rounds(), 2 * 5);
  });
}

t.test("a busy agent leaves the loop to others after a bounded number of rounds", async (t) => {
  const turns: number[] = [];
  const { runner, rounds } = rig(t, "wake", { doWork: () => 1 }, { roundsPerTurn: 5 });
  runner.start();
  runner.wake();
  for (let i = 0; i < 10; i++) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    turns.push(rounds());
  }
  runner.close();
  await new Promise<void>((resolve) => setImmediate(resolve));
  t.equal(rounds(), turns.at(-1), "no round after close");
  for (let i = 1; i < turns.length; i++) t.equal((turns[i] ?? 0) - (turns[i - 1] ?? 0), 5);
});

t.test("work found by the second look is done, without anybody ringing", async (t) => {
  const { runner, quiet, rounds, ringer } = rig(t, "wake", {
    doWork: (round) => (round % 2 === 1 && round < 10 ? 1 : 0),
  });
  runner.start();
  await quiet();
  t.equal(rounds(), 12);
  t.equal(Atomics.load(new Int32Array(ringer.buffer), STATE_WORD), PARKED);
});

t.test("errors are reported, and the agent tries again soon", async (t) => {
  let done = (): void => {};
  const { runner, log } = rig(t, "port", {
    doWork: (round) => {
      if (round < 4) throw new Error(`round ${round}`);
      done();
      return 0;
    },
  });
  const recovered = new Promise<void>((resolve) => {
    done = resolve;
  });
  runner.start();
  await recovered;
  t.same(log, ["Error: round 0", "Error: round 1", "Error: round 2", "Error: round 3"]);
});

t.test("close: from inside a round, before the start, and twice", async (t) => {
  const inside: Rig = rig(t, "wake", {
    doWork: () => {
      inside.runner.close();
      inside.log.push("round");
      return 1;
    },
  });
  inside.runner.start();
  await inside.quiet();
  t.same(inside.log, ["round", "close"], "the round ends first");
  inside.runner.close();
  t.same(inside.log, ["round", "close"]);
  t.throws(() => inside.runner.start(), { message: /name=looping/ });

  const looking: Rig = rig(t, "wake", {
    doWork: (round) => {
      if (round === 1) looking.runner.close();
      return 0;
    },
  });
  looking.runner.start();
  await looking.quiet();
  t.same(looking.log, ["close"], "from inside the second look");

  const early = rig(t, "waitAsync");
  early.runner.close();
  t.same(early.log, ["close"]);
  t.throws(() => early.runner.start(), { message: /name=looping/ });

  const between = rig(t, "waitAsync");
  between.runner.start();
  between.runner.close();
  await between.quiet();
  t.equal(between.rounds(), 0, "the turn that was due is not run");
});

t.test("misuse is refused", async (t) => {
  t.throws(() => rig(t, "wake", {}, { roundsPerTurn: 0 }), { message: /roundsPerTurn=0/ });
  t.throws(() => rig(t, "wake", {}, { roundsPerTurn: 1.5 }), { message: /roundsPerTurn=1.5/ });
  const atomics = Atomics as { waitAsync?: unknown };
  const waitAsync = atomics.waitAsync;
  delete atomics.waitAsync;
  try {
    t.throws(() => rig(t, "waitAsync"), { message: /no Atomics\.waitAsync/ });
  } finally {
    Object.defineProperty(atomics, "waitAsync", { value: waitAsync, configurable: true, writable: true });
  }
});

const index = new URL("../../src/index.js", import.meta.url).href;

/** A script around a runner that does nothing; what it prints shows how long the process lived. */
function script(wokenBy: string, rest: string): string {
  return `
    import { MessageChannel } from "node:worker_threads";
    import { Doorbell, EventLoopRunner } from ${JSON.stringify(index)};
    const { port1 } = new MessageChannel();
    const agent = {
      name: "quiet", doWork: () => 0, nextTimerMs: () => 60000, onClose: () => console.log("closed"),
    };
    const start = (options) => {
      const runner = new EventLoopRunner(agent, Doorbell.attach(Doorbell.allocate()),
        { wokenBy: ${wokenBy}, onError: console.error, ...options });
      runner.start();
      return runner;
    };
    process.on("exit", () => console.log("exit"));
    ${rest}`;
}

async function output(source: string): Promise<string> {
  const run = promisify(execFile);
  const args = ["--input-type=module", "-e", source];
  return (await run(process.execPath, args, { timeout: 30_000 })).stdout.trim();
}

for (const wokenBy of ["port1", '"wake"', '"waitAsync"']) {
  t.test(`woken by ${wokenBy}: the process is kept until close, or not, as asked`, async (t) => {
    const kept =
      "const runner = start({}); setTimeout(() => { runner.close(); port1.close(); }, 100).unref();";
    t.equal(await output(script(wokenBy, kept)), "closed\nexit");
    t.equal(await output(script(wokenBy, "start({ keepAlive: false });")), "exit");
  });
}

t.test("what onError throws ends the turns, after onClose, as an uncaught error", async (t) => {
  const source = script(
    '"wake"',
    'agent.doWork = () => { throw new Error("fatal"); }; start({ onError: (error) => { throw error; } });',
  );
  const run = promisify(execFile)(process.execPath, ["--input-type=module", "-e", source], {
    timeout: 30_000,
  });
  const failure = (await run.catch((error: unknown) => error)) as {
    code: number;
    stdout: string;
    stderr: string;
  };
  t.equal(failure.code, 1);
  t.equal(failure.stdout.trim(), "closed\nexit");
  t.match(failure.stderr, /fatal/);
});

t.test("turns where there is no setImmediate, as in browsers", async (t) => {
  const turns = `
    const seen = [];
    agent.doWork = () => { seen.push("round"); return seen.length < 40 ? 1 : 0; };
    const later = () => { seen.push("other"); if (seen.length < 40) setTimeout(later, 0); };
    setTimeout(later, 0);
    const runner = start({ roundsPerTurn: 2 });
    const poll = () => {
      if (seen.length < 40 || !seen.includes("other")) return setTimeout(poll, 1);
      runner.close();
      process.exit();
    };
    poll();`;
  for (const missing of [["setImmediate"], ["setImmediate", "MessageChannel"]]) {
    const removed = missing.map((name) => `delete globalThis.${name};`).join("\n");
    t.equal(await output(script('"wake"', removed + turns)), "closed\nexit");
  }
});

t.test("a worker that waits in waitAsync can be terminated", async (t) => {
  const source = script('"waitAsync"', "start({});").replace(
    /^\s*import (.*?) from (.*);$/gm,
    "const $1 = await import($2);",
  );
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), { stdout: true });
  await new Promise((resolve) => worker.once("online", resolve));
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.equal(await worker.terminate(), 1);
});
