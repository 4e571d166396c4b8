import { Worker } from "node:worker_threads";
import t, { type Test } from "tap";
import { Channel, type ChannelDescriptor } from "../../src/index.ts";
import { seeded, seedOfRun } from "../seeded.ts";
import { stressRuns } from "../stress-time.ts";
import type { EndKind, Mistake, PartyData, PartyReport, Role } from "./channel-worker.ts";

const ROUNDS = 400;
const RECORDS = 20_000;
/** A lost wake-up stops the game for good. */
const STALLED_MS = 20_000;
const CANARY_STALLED_MS = 700;
/** Tests that divide the time of the nightly lane among them. */
const SHARE = 20;

const workerFile = new URL("./channel-worker.js", import.meta.url);
/** Without what tap preloads, which takes a thread ten times as long to start as all the rest. */
const execArgv: string[] = [];
const KINDS: readonly EndKind[] = ["blocking", "loop"];
const PAIRS: readonly (readonly [EndKind, EndKind])[] = KINDS.flatMap((one) =>
  KINDS.map((other) => [one, other] as const),
);

interface Game {
  roles: readonly [Role, Role];
  kinds: readonly [EndKind, EndKind];
  records: number;
  seed: number;
  mistakes?: readonly [Mistake | undefined, Mistake | undefined];
  /** Which side's thread is terminated when both have begun, and after how many milliseconds. */
  victim?: { side: 0 | 1; afterMs: number };
  stalledMs?: number;
}

interface Outcome {
  /** Of a victim undefined, unless it was done before. */
  reports: (PartyReport | undefined)[];
  flushed: Int32Array;
  stalled: boolean;
}

/** One end goes by workerData, the other by postMessage. */
function start(game: Game, side: 0 | 1, descriptor: ChannelDescriptor, flushed: SharedArrayBuffer): Worker {
  const data: PartyData = {
    role: game.roles[side],
    kind: game.kinds[side],
    side,
    records: game.records,
    seed: game.seed,
    flushed,
  };
  const mistake = game.mistakes?.[side];
  if (mistake !== undefined) data.mistake = mistake;
  if ((game.seed + side) % 2 === 0) {
    data.channel = descriptor;
    return new Worker(workerFile, { workerData: data, execArgv, transferList: [descriptor.port] });
  }
  const worker = new Worker(workerFile, { workerData: data, execArgv });
  worker.postMessage(descriptor, [descriptor.port]);
  return worker;
}

/** No worker is left when it resolves. @throws what a party throws. */
async function play(game: Game): Promise<Outcome> {
  const descriptors = Channel.allocate({ capacityBytes: 4096 << (game.seed % 3) });
  const flushed = new SharedArrayBuffer(8);
  const counts = new Int32Array(flushed);
  const workers = ([0, 1] as const).map((side) => start(game, side, descriptors[side], flushed));
  const reports: (PartyReport | undefined)[] = [undefined, undefined];
  let stalled = false;
  const timer = setTimeout(() => {
    stalled = true;
    for (const worker of workers) void worker.terminate();
  }, game.stalledMs ?? STALLED_MS);
  const { victim } = game;
  if (victim !== undefined) {
    setTimeout(() => void workers[victim.side]?.terminate(), victim.afterMs);
  }
  try {
    await Promise.all(
      workers.map(
        (worker, side) =>
          new Promise<void>((resolve, reject) => {
            worker.on("message", (report: PartyReport) => {
              reports[side] = report;
            });
            worker.on("error", reject);
            worker.on("exit", () => resolve());
          }),
      ),
    );
  } finally {
    clearTimeout(timer);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  return { reports, flushed: counts, stalled };
}

function said(game: Game, { reports, flushed, stalled }: Outcome): string {
  return `MILLRACE_SEED=${game.seed} ${stalled ? "stalled " : ""}flushed=${flushed} ${JSON.stringify(reports)}`;
}

/** Both have done all they had to. */
function expectDone(t: Test, game: Game, outcome: Outcome): void {
  const done = game.roles.every((role, side) => {
    const report = outcome.reports[side];
    const sent = role === "receive" ? 0 : game.records;
    const received = role === "send" ? 0 : game.records;
    return (
      report?.sent === sent && report.received === received && report.closed && report.wrong === undefined
    );
  });
  if (!done || outcome.stalled) t.fail(said(game, outcome));
}

for (const kinds of PAIRS) {
  const pair = kinds.join(" and ");

  t.test(`no wake-up is lost in a ping-pong of ${pair}`, async (t) => {
    for (const seed of stressRuns(seedOfRun(), SHARE)) {
      const game: Game = { roles: ["ping-pong", "ping-pong"], kinds, records: ROUNDS, seed };
      expectDone(t, game, await play(game));
    }
    t.pass("all rounds were played");
  });

  t.test(`all arrives, whole and in order, both ways between ${pair}`, async (t) => {
    for (const seed of stressRuns(seedOfRun(), SHARE)) {
      const game: Game = { roles: ["exchange", "exchange"], kinds, records: RECORDS, seed };
      expectDone(t, game, await play(game));
    }
    t.pass("all were received");
  });

  t.test(`what was flushed before a close under load arrives: ${pair}`, async (t) => {
    for (const seed of stressRuns(seedOfRun(), SHARE)) {
      const game: Game = { roles: ["send", "receive"], kinds, records: RECORDS, seed };
      expectDone(t, game, await play(game));
    }
    t.pass("all were received");
  });

  t.test(`a receiver reads what a terminated sender had flushed: ${pair}`, async (t) => {
    for (const seed of stressRuns(seedOfRun(), SHARE)) {
      const afterMs = seeded(seed).below(250);
      const game: Game = {
        roles: ["flood", "receive"],
        kinds,
        records: Number.POSITIVE_INFINITY,
        seed,
        victim: { side: 0, afterMs },
      };
      const outcome = await play(game);
      const report = outcome.reports[1];
      const right = report?.closed && report.wrong === undefined && report.received >= outcome.flushed[0]!;
      if (!right || outcome.stalled) t.fail(`afterMs=${afterMs} ${said(game, outcome)}`);
      t.comment(`afterMs=${afterMs} flushed=${outcome.flushed[0]} received=${report?.received}`);
    }
    t.pass("all that was flushed was received");
  });

  t.test(`a sender notices that its receiver was terminated: ${pair}`, async (t) => {
    for (const seed of stressRuns(seedOfRun(), SHARE)) {
      const afterMs = seeded(seed).below(250);
      const game: Game = {
        roles: ["flood", "receive"],
        kinds,
        records: Number.POSITIVE_INFINITY,
        seed,
        victim: { side: 1, afterMs },
      };
      const outcome = await play(game);
      if (outcome.reports[0]?.closed !== true || outcome.stalled) {
        t.fail(`afterMs=${afterMs} ${said(game, outcome)}`);
      }
    }
    t.pass("closed");
  });
}

for (const kind of KINDS) {
  t.test(`canary: a ${kind} sleeper that nobody rings for is noticed`, async (t) => {
    const outcome = await play({
      roles: ["ping-pong", "ping-pong"],
      kinds: [kind, kind],
      records: ROUNDS,
      seed: seedOfRun(),
      mistakes: ["no-ring", "no-ring"],
      stalledMs: CANARY_STALLED_MS,
    });
    t.ok(outcome.stalled);
  });
}

t.test("canary: a byte that is another is noticed", async (t) => {
  const wrongs: (string | undefined)[] = [];
  // The record with the mistake may be empty.
  for (let seed = seedOfRun(), end = seed + 8; seed < end && wrongs.at(-1) === undefined; seed++) {
    const roles = ["send", "receive"] as const;
    const game: Game = { roles, kinds: ["loop", "loop"], records: 1000, seed, mistakes: ["torn", undefined] };
    wrongs.push((await play(game)).reports[1]?.wrong);
  }
  t.match(wrongs.at(-1), /^record 500: byte 0/);
});

t.test("canary: records that were not flushed at the end are missed", async (t) => {
  const roles = ["send", "receive"] as const;
  const mistakes = ["no-flush", undefined] as const;
  const game: Game = { roles, kinds: ["blocking", "loop"], records: 5, seed: 1, mistakes };
  const { reports } = await play(game);
  // A long record is published by the ring itself; with this seed the last is short.
  t.ok((reports[1]?.received ?? 5) < 5, said(game, { reports, flushed: new Int32Array(2), stalled: false }));
});
