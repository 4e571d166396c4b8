import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t from "tap";
import { openFixture, stageTexts, textsOf } from "./journal-fixture.ts";

const MAIN = fileURLToPath(new URL("./stopped-owner-main.js", import.meta.url));
/** Calls of one round of the owner: the write, a look behind it, the sync, and a look behind that. */
const CALLS_OF_ROUND = 5;
const FIRST_CALL = 20;
const POLL_MS = 5;

interface Owner {
  readonly child: ChildProcess;
  readonly lines: () => string[];
  readonly exited: Promise<number | null>;
}

function startOwner(directory: string, stopAt: number): Owner {
  const child = spawn(process.execPath, [MAIN, directory, String(stopAt)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  const exited = new Promise<number | null>((resolve) => child.once("close", (code) => resolve(code)));
  return { child, exited, lines: () => text.split("\n").filter((line) => line !== "") };
}

/** The state letter of /proc/<pid>/stat. */
function isStopped(pid: number): boolean {
  return /\) T /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}

t.setTimeout(180_000);

t.test(
  "a process that is stopped anywhere between writes and looks, and continued when another one has the shard",
  { skip: process.platform !== "linux" && "needs /proc" },
  async (t) => {
    for (let stopAt = FIRST_CALL; stopAt < FIRST_CALL + CALLS_OF_ROUND; stopAt += 1) {
      const directory = `${t.testdir({})}/${stopAt}`;
      const owner = startOwner(directory, stopAt);
      const pid = owner.child.pid as number;
      t.teardown(() => owner.child.kill("SIGKILL"));
      await until(() => owner.lines().includes("stopping") && isStopped(pid));
      const before = owner.lines().filter((line) => line !== "stopping");

      const successor = openFixture(directory);
      const found = textsOf(successor.recorder);
      stageTexts(successor.journal, "successor 0");
      successor.journal.flush();
      successor.journal.requestSync();
      t.equal(
        successor.journal.committedPosition(),
        successor.journal.stagedPosition,
        "the successor serves",
      );

      process.kill(pid, "SIGCONT");
      t.equal(await owner.exited, 3, "the former owner ends by itself");
      const after = owner.lines().slice(before.length + 1);
      t.match(after.at(-1), /^ended: another owner has taken over .* epoch=1$/, "and says why");
      t.same(after.slice(0, -1), [], `stopped at call ${stopAt}: it tells of nothing more`);

      stageTexts(successor.journal, "successor 1");
      successor.journal.flush();
      successor.journal.requestSync();
      successor.journal.close();
      const next = openFixture(directory);
      t.same(textsOf(next.recorder), [...found, "successor 0", "successor 1"], "nothing of it is ever seen");
      for (const line of before) {
        const [, kind, number] = /^(\w+) (\d+)$/.exec(line) ?? [];
        t.ok(found.includes(`former ${number}`), `${kind} ${number} is there`);
      }
      next.journal.close();
    }
  },
);
