import t from "tap";
import { type Agent, AgentInvoker } from "../../src/index.ts";

t.test("rounds are run one by one, with errors reported and the agent told of its end", async (t) => {
  const log: string[] = [];
  let work = 3;
  const agent: Agent = {
    name: "invoked",
    doWork: () => {
      if (work < 0) throw new Error("round");
      return work;
    },
    nextTimerMs: () => 50,
    onClose: () => {
      log.push("close");
      throw new Error("close");
    },
  };
  const invoker = new AgentInvoker(agent, (error) => log.push(String(error)));
  t.equal(invoker.invoke(), 3);
  t.equal(invoker.nextTimerMs(), 50);
  work = -1;
  t.equal(invoker.invoke(), 0);
  t.equal(invoker.nextTimerMs(), 10, "what it failed to do is not left for long");
  work = 0;
  t.equal(invoker.invoke(), 0);
  t.equal(invoker.nextTimerMs(), 50);
  invoker.close();
  invoker.close();
  t.same(log, ["Error: round", "close", "Error: close"]);
  work = 3;
  t.equal(invoker.invoke(), 0);
  t.equal(invoker.nextTimerMs(), Number.POSITIVE_INFINITY);
});
