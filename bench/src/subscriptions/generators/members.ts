/**
 * Generator `members`: members of one stream subscription, each with a connection of its own, in one process. They
 * release what is revoked at once. One of them joins or dies, and the time is taken until every partition has a member
 * again and no member has two more than another.
 */
import { monotonicMs, reportFailure, serveCommands } from "@millrace/load/internal";
import type { Frame } from "@millrace/protocol/internal";
import { BrokerSession } from "../../wire/broker-session.ts";

/** What one change of the membership did. */
export interface Rebalance {
  /** Until everything was assigned again. */
  readonly ms: number;
  /** Partitions that got another member. */
  readonly moved: number;
  /** The longest time that one of them had no member. */
  readonly pauseMsMax: number;
}

export interface MembersCommands {
  /** Makes the topic and lets all members join. */
  open(args: { url: string; topic: string; partitions: number; members: number }): Promise<Rebalance>;
  join(args: null): Promise<Rebalance>;
  /** The connection of one member, by turns another one, is cut. */
  die(args: null): Promise<Rebalance>;
}

const SUBSCRIPTION = "members";
const CREDIT_BYTES = 4 * 1024 * 1024;
const TIMEOUT_MS = 60_000;

interface Member {
  readonly session: BrokerSession;
  readonly held: Set<number>;
}

let url = "";
let topic = "";
let partitions = 0;
const members: Member[] = [];
/** When each partition was taken from its last member, if it has no other one yet. */
const freeSinceMs = new Map<number, number>();
let moved = new Set<number>();
let pauseMsMax = 0;
let check: () => void = () => undefined;

function assigned(member: Member, partition: number): void {
  const since = freeSinceMs.get(partition);
  if (since !== undefined) pauseMsMax = Math.max(pauseMsMax, monotonicMs() - since);
  freeSinceMs.delete(partition);
  member.held.add(partition);
  moved.add(partition);
}

function taken(member: Member, partition: number): void {
  if (!member.held.delete(partition))
    throw new Error(`a partition was revoked twice: partition=${partition}`);
  freeSinceMs.set(partition, monotonicMs());
}

function onFrame(member: Member, frame: Frame): void {
  if (frame.name === "ASSIGNED") {
    for (const { partition } of frame.value.partitions) assigned(member, partition);
  } else if (frame.name === "REVOKED") {
    const { consumerId, partitions: revoked, withinMs } = frame.value;
    for (const { partition } of revoked) taken(member, partition);
    if (withinMs > 0) member.session.send({ name: "RELEASE", value: { consumerId, partitions: revoked } });
  } else return;
  check();
}

async function connectMember(): Promise<Member> {
  const session: BrokerSession = await BrokerSession.open(url, `member-${members.length}`, {
    onAck: () => undefined,
    onThrottled: () => undefined,
    onEntry: () => undefined,
    onDelivered: () => undefined,
    onOther: (frame) => onFrame(member, frame),
    onFailure: reportFailure,
  });
  const member: Member = { session, held: new Set() };
  return member;
}

async function join(member: Member): Promise<void> {
  members.push(member);
  await member.session.ask((requestId) => ({
    name: "CONSUME",
    value: {
      requestId,
      topic,
      subscription: SUBSCRIPTION,
      mode: "stream",
      slots: 0,
      creditLimit: CREDIT_BYTES,
      create: { mode: "stream", from: ["earliest"] },
      extensions: {},
    },
  }));
}

function isBalanced(): boolean {
  let held = 0;
  let least = Number.POSITIVE_INFINITY;
  let most = 0;
  for (const member of members) {
    held += member.held.size;
    least = Math.min(least, member.held.size);
    most = Math.max(most, member.held.size);
  }
  return held === partitions && most - least <= 1;
}

/** Makes a change and waits for its end. */
async function rebalanced(change: () => Promise<void>): Promise<Rebalance> {
  moved = new Set();
  pauseMsMax = 0;
  const startedMs = monotonicMs();
  const ended = new Promise<number>((resolve, reject) => {
    const timer = setTimeout(() => {
      const held = members.reduce((sum, member) => sum + member.held.size, 0);
      reject(new Error(`not balanced in time: assigned=${held} of ${partitions}`));
    }, TIMEOUT_MS);
    check = () => {
      if (!isBalanced()) return;
      clearTimeout(timer);
      check = () => undefined;
      resolve(monotonicMs());
    };
  });
  await change();
  const endedMs = await ended;
  return { ms: endedMs - startedMs, moved: moved.size, pauseMsMax };
}

serveCommands<MembersCommands>({
  open: async (args) => {
    ({ url, topic, partitions } = args);
    const connected: Member[] = [];
    while (connected.length < args.members) connected.push(await connectMember());
    await (connected[0] as Member).session.createTopic(topic, "fsynced", partitions);
    return rebalanced(async () => {
      await Promise.all(connected.map(join));
    });
  },
  join: async () => {
    const member = await connectMember();
    return rebalanced(() => join(member));
  },
  die: () =>
    rebalanced(async () => {
      const dead = members.shift() as Member;
      for (const partition of [...dead.held]) taken(dead, partition);
      dead.session.close();
    }),
});
