import { type Spread, spreadOf } from "@millrace/load/internal";
import type { BenchRow, RowOutcome } from "../harness/bench-row.ts";
import { formatSpread } from "../harness/terminal.ts";
import { type LimitContext, type RowBroker, withBroker } from "../limits/limit-context.ts";
import type { MembersCommands, Rebalance } from "./generators/members.ts";

const TARGET_MS = 200;
const MEMBERS = 100;
const PARTITIONS = 1_000;
/** Changes of each kind, for each round of the plan. */
const CHANGES_PER_ROUND = 4;

export const rebalanceRow: BenchRow<LimitContext> = {
  name: "rebalance",
  description: "100 members over 1,000 partitions: one joins or dies, until all are assigned, against 200 ms",
  target: 1,
  sense: "at-most",
  run: (context) => withBroker(context, "rebalance", (broker) => runRebalance(context, broker)),
};

async function runRebalance(context: LimitContext, broker: RowBroker): Promise<RowOutcome> {
  const { children, plan, progress } = context;
  const members = await children.fork<MembersCommands>(new URL("./generators/members.js", import.meta.url));
  try {
    progress.say("all members join");
    const target = { url: broker.process.url, topic: "bench", partitions: PARTITIONS, members: MEMBERS };
    const opened = await members.call("open", target);
    const joins: Rebalance[] = [];
    const deaths: Rebalance[] = [];
    for (let change = 0; change < plan.rounds * CHANGES_PER_ROUND; change++) {
      progress.say(`change ${change + 1} of ${plan.rounds * CHANGES_PER_ROUND}`);
      joins.push(await members.call("join", null));
      deaths.push(await members.call("die", null));
    }
    const joinMs = msOf(joins);
    const deathMs = msOf(deaths);
    return {
      ratio: Math.max(joinMs.median, deathMs.median) / TARGET_MS,
      counts: true,
      raw: { unit: "ms", opened, joins, deaths },
      details: [
        `a member joins: ${formatSpread(joinMs, 1, "ms")}; ${movedText(joins)}`,
        `a member dies: ${formatSpread(deathMs, 1, "ms")}; ${movedText(deaths)}`,
        `all ${MEMBERS} join: ${opened.ms.toFixed(0)} ms`,
      ],
    };
  } finally {
    await children.end(members.pid);
  }
}

function msOf(changes: readonly Rebalance[]): Spread {
  return spreadOf(changes.map(({ ms }) => ms));
}

function movedText(changes: readonly Rebalance[]): string {
  const moved = Math.max(...changes.map((change) => change.moved));
  const pauses = spreadOf(changes.map(({ pauseMsMax }) => pauseMsMax));
  const few = Math.floor(PARTITIONS / (MEMBERS + 1));
  return `up to ${moved} partitions moved (${few} must), the longest pause of one ${formatSpread(pauses, 1, "ms")}`;
}
