import t from "tap";
import { type Agent, AgentRunner, Doorbell, DoorbellIdleStrategy } from "../../src/index.ts";

interface Script {
  doWork?: (round: number, runner: AgentRunner) => number;
  nextTimerMs?: () => number;
  onClose?: () => void;
}

interface Outcome {
  runner: AgentRunner;
  doorbell: Doorbell;
  log: string[];
  errors: unknown[];
}

function scripted(script: Script, onError?: (error: unknown, runner: AgentRunner) => void): Outcome {
  const log: string[] = [];
  const errors: unknown[] = [];
  const doorbell = Doorbell.attach(Doorbell.allocate());
  let round = 0;
  const agent: Agent = {
    name: "scripted",
    doWork: () => script.doWork?.(round++, runner) ?? 0,
    nextTimerMs: () => {
      log.push("timer");
      return script.nextTimerMs?.() ?? Number.POSITIVE_INFINITY;
    },
    onClose: () => {
      log.push("close");
      script.onClose?.();
    },
  };
  const runner = new AgentRunner(agent, new DoorbellIdleStrategy(doorbell), (error) => {
    errors.push(error);
    onError?.(error, runner);
  });
  return { runner, doorbell, log, errors };
}

t.test("rounds go on while there is work, until close from inside", async (t) => {
  let rounds = 0;
  const { runner, log, errors } = scripted({
    doWork: (round, runner) => {
      rounds++;
      if (round === 99) runner.close();
      return 1;
    },
  });
  runner.run();
  t.equal(rounds, 100);
  t.same(log, ["close"], "a busy agent is never asked for its timer");
  t.same(errors, []);
  t.throws(() => runner.run(), { message: /name=scripted/ });
});

t.test("an idle agent sleeps until its timer", async (t) => {
  let timers = 0;
  const { runner, log } = scripted({
    doWork: (_round, runner) => {
      if (timers === 3) runner.close();
      return 0;
    },
    nextTimerMs: () => {
      timers++;
      return 2;
    },
  });
  runner.run();
  t.same(log, ["timer", "timer", "timer", "close"]);
});

t.test("work that arrives between the last round and sleep is found by the check in between", async (t) => {
  let rungs = 0;
  const { runner, doorbell, log } = scripted({
    doWork: (_round, runner) => {
      // Rung from inside the check: the flag is up, so the ring takes it down and wait returns at once.
      if (doorbell.ring() && ++rungs === 5) runner.close();
      return 0;
    },
  });
  runner.run();
  t.equal(rungs, 5);
  t.same(log, ["timer", "timer", "timer", "timer", "close"]);
});

t.test("errors are reported, and the agent rests but is never left asleep", async (t) => {
  const { runner, log, errors } = scripted({
    doWork: (round, runner) => {
      if (round < 4) throw new Error(`round ${round}`);
      runner.close();
      return 0;
    },
  });
  runner.run();
  t.same(
    errors.map((error) => (error as Error).message),
    ["round 0", "round 1", "round 2", "round 3"],
  );
  t.same(log, ["timer", "timer", "close"], "two sleeps without a ring, although there is no timer");
});

t.test("a broken timer is an error of the agent, not the end of it", async (t) => {
  let timers = 0;
  const { runner, errors } = scripted({
    doWork: (_round, runner) => {
      if (timers === 2) runner.close();
      return 0;
    },
    nextTimerMs: () => {
      if (++timers === 1) throw new Error("timer");
      return Number.NaN;
    },
  });
  runner.run();
  t.match(errors, [{ message: "timer" }, { message: /NaN: name=scripted/ }]);
});

t.test("onError may close, and what it throws ends run after onClose", async (t) => {
  const closing = scripted(
    {
      doWork: () => {
        throw new Error("fatal");
      },
    },
    (_error, runner) => runner.close(),
  );
  closing.runner.run();
  t.equal(closing.errors.length, 1);
  t.same(closing.log, ["close"]);

  const throwing = scripted(
    {
      doWork: () => {
        throw new Error("fatal");
      },
    },
    (error) => {
      throw error;
    },
  );
  t.throws(() => throwing.runner.run(), { message: "fatal" });
  t.same(throwing.log, ["close"]);
  t.equal(throwing.doorbell.ring(), false, "nobody rings for a thread that is gone");
});

t.test("close before run still closes the agent; an error of onClose is reported", async (t) => {
  const { runner, log, errors } = scripted({
    onClose: () => {
      throw new Error("close failed");
    },
  });
  runner.close();
  runner.run();
  t.same(log, ["close"]);
  t.match(errors, [{ message: "close failed" }]);
});
