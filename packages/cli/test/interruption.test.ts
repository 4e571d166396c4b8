import { EventEmitter } from "node:events";
import t from "tap";
import { Interruption } from "../src/interruption.ts";

t.test("the first signal asks, a second one ends, one Ctrl-C that comes twice is one", async (t) => {
  let nowMs = 1_000_000;
  const exits: number[] = [];
  const signals = Object.assign(new EventEmitter(), { exit: (code: number) => exits.push(code) });
  const interruption = new Interruption(signals, { wallMs: () => 0, monotonicMs: () => nowMs });
  t.notOk(interruption.interrupted);
  signals.emit("SIGINT");
  signals.emit("SIGINT");
  nowMs += 499;
  signals.emit("SIGTERM");
  t.ok(interruption.interrupted);
  t.same(exits, [], "npm and the terminal both pass it on");
  nowMs += 1;
  signals.emit("SIGINT");
  t.same(exits, [130]);
  interruption.dispose();
  t.equal(signals.listenerCount("SIGINT") + signals.listenerCount("SIGTERM"), 0);
});
