import { join } from "node:path";
import t from "tap";
import { BrokerProcess } from "./harness/broker-process.ts";
import { OwnedProcess } from "./harness/owned-process.ts";
import { REPOSITORY } from "./harness/repository.ts";
import { temporaryFolder } from "./harness/temporary-folder.ts";

// The examples about subscriptions, one after the other with one broker, as a user would try them. They compare for
// themselves, and end with another exit code than 0 where something is wrong.
t.test("the examples run", async (t) => {
  const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t) });

  async function outputOf(name: string): Promise<string> {
    const main = join(REPOSITORY, "examples", name, "dist", "src", "main.js");
    const example = new OwnedProcess(t, process.execPath, [main, broker.url]);
    const { code } = await example.exited;
    t.equal(code, 0, `${name}: ${example.stdout}`);
    t.equal(example.stderr, "");
    return example.stdout;
  }

  const workQueue = await outputOf("work-queue");
  t.match(workQueue, /^19\d e-mails sent, \d+ deliveries repeated, \d+ dead letters in emails\.dlq$/m);
  for (const user of [0, 1, 2]) {
    const letter = `dead letter: user-${user}@example.org (welcom), max-deliveries after 5 deliveries\n`;
    t.ok(workQueue.includes(letter), letter);
  }
  t.match(workQueue, /^ok: 200 e-mails sent, each once$/m);

  const payments = await outputOf("payments");
  t.match(payments, /^500 booked by 3 workers, \d+ tried again, up to \d+ accounts at a time$/m);
  t.match(payments, /^ok: every account in its order, one payment at a time$/m);

  const chatRoom = await outputOf("chat-room");
  const linesOf = (who: string): string[] =>
    chatRoom.split("\n").filter((line) => line.startsWith(`${who} reads: garden`));
  t.strictSame(linesOf("ann"), [
    "ann reads: garden <ann> Is anybody here?",
    "ann reads: garden <ann> It is raining.",
    "ann reads: garden <bob> Come in, then.",
    "ann reads: garden <bob> There is tea.",
  ]);
  t.equal(linesOf("cid").length, 3, "the last three lines are replayed");
  t.match(chatRoom, /^ann reads: kitchen <bob> Over here!$/m);
  t.match(chatRoom, /^cid sees: ann is away\ncid sees: bob is here\ncid sees: cid is here$/m);

  const requestReply = await outputOf("request-reply");
  t.match(requestReply, /^without a responder: NO_RESPONDERS: /m);
  t.match(requestReply, /^1 \+ 2 \+ 3 = 6\nof nothing: REQUEST_FAILED: nothing to add$/m);
  t.match(requestReply, /^20 of 20 right, answered by one and two$/m);

  t.equal((await broker.stop()).code, 0);
});
