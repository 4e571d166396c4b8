import t from "tap";
import { problemsOfHistory } from "../harness/history/check-history.ts";
import type { HistoryEvent, NewEvent } from "../harness/history/history-event.ts";

// The checker finds what it looks for: a history in which all is well, and others with one thing wrong.

const TOPIC = "events";
const JOBS = "jobs";

/** A history in which every event is a second after the one before; `at` is its index in seconds. */
function history(events: readonly NewEvent[]): HistoryEvent[] {
  return events.map((event, i) => ({ at: i * 1_000_000, ...event }) as HistoryEvent);
}

function problems(events: readonly NewEvent[]): string[] {
  return problemsOfHistory(history(events));
}

const content = (number: number, key: string | null = null) => ({
  producer: "p",
  number,
  key,
  digest: `digest ${number}`,
});
const place = (offset: number, topic = TOPIC) => ({ topic, partition: 0, offset });

const topic = (name = TOPIC, durability: "fsynced" | "memory" = "fsynced"): NewEvent => {
  return { what: "topic", topic: name, partitions: 1, durability };
};
const sent = (number: number, key: string | null = null, name = TOPIC): NewEvent => {
  return { what: "sent", topic: name, ...content(number, key) };
};
const acked = (number: number, offset: number, name = TOPIC): NewEvent => {
  return { what: "acked", producer: "p", number, ...place(offset, name) };
};
const start = (reader: string, offset = 0, subscription: string | null = null, name = TOPIC): NewEvent => {
  const isFinal = reader === "the log";
  return { what: "start", reader, subscription, isFinal, ...place(offset, name) };
};
const read = (reader: string, number: number, offset: number, key: string | null = null): NewEvent => {
  return { what: "read", reader, ...place(offset), ...content(number, key) };
};
const gap = (reader: string, fromOffset: number, toOffset: number): NewEvent => {
  return { what: "gap", reader, topic: TOPIC, partition: 0, fromOffset, toOffset, reason: "gap" };
};
const committed = (reader: string, offset: number): NewEvent => {
  return { what: "committed", reader, subscription: "board", ...place(offset) };
};
/** The final reading of records whose numbers are given, one after the other from offset 0. */
const log = (...numbers: number[]): NewEvent[] => {
  return [start("the log"), ...numbers.map((number, offset) => read("the log", number, offset))];
};

const published = [topic(), sent(0), sent(1), sent(2), acked(0, 0), acked(1, 1), acked(2, 2)];

t.test("a log", async (t) => {
  t.same(problems([...published, ...log(0, 1, 2)]), [], "as it should be");
  t.match(problems([...published, ...log(0, 1)]), [/p:2 was acknowledged .*lost/], "a lost record");
  const altered: NewEvent = { what: "read", reader: "the log", ...place(2), ...content(2), digest: "other" };
  t.match(problems([...published, ...log(0, 1), altered]), [/altered: p:2/], "an altered one");
  const otherKey: NewEvent = { what: "read", reader: "the log", ...place(2), ...content(2, "k") };
  t.match(problems([...published, ...log(0, 1), otherKey]), [/altered: p:2/], "another key");
  t.match(problems([...published, ...log(0, 1, 2, 2)]), [/p:2 is stored twice/], "a duplicate");
  t.match(problems([...published, ...log(0, 1, 2, 7)]), [/p:7, which nobody sent/], "an invented one");
  t.match(problems([...published, ...log(0, 2, 1)]).join(), /p:1 at .* comes after p:2/, "disorder");
  t.match(problems([...published, ...log(0, 2, 1)]).join(), /acknowledged at .*@1 and is at .*@2/);
  const unknownOffset = [topic(), sent(0), acked(0, -1)];
  t.same(problems([...unknownOffset, ...log(0)]), [], "an ack without an offset");
  t.match(problems([...unknownOffset, ...log()]), [/lost/], "which says as much");
  const twice = [topic(), sent(0), sent(1), acked(0, 0), acked(1, 0), ...log(0)];
  t.match(problems(twice).join(), /was acknowledged for p:0 and for p:1/, "an offset that was given twice");
  const failed: NewEvent = { what: "failed", topic: TOPIC, producer: "p", number: 0, code: "TIMEOUT" };
  t.match(problems([topic(), sent(0), failed, ...log(0)]), [/p:0 was refused for good: TIMEOUT/]);
  t.same(problems([topic(), sent(0), ...log(0)]), [], "without an answer it may be stored");
  t.same(problems([topic(), sent(0), ...log()]), [], "or not");
});

t.test("a log of a topic that is acknowledged before it is synced", async (t) => {
  const weak = [topic(TOPIC, "memory"), sent(0), sent(1), acked(0, 0), acked(1, 1)];
  const last = read("the log", 1, 1);
  t.same(problems([...weak, ...log(0)]), [], "may lose records");
  t.match(
    problems([...weak, ...log(0), sent(2), read("the log", 2, 1)]).join(),
    /@1 was acknowledged for p:1 and holds p:2/,
  );
  t.match(problems([...weak, start("the log"), last]), [/unreported|nobody reported/], "with a report");
  t.same(problems([...weak, start("the log"), gap("the log", 0, 1), last]), []);
});

t.test("keys", async (t) => {
  const sends = [topic(), sent(0, "a"), sent(1, "b"), sent(2, "a")];
  const stored = (...numbers: number[]): NewEvent[] => [
    start("the log"),
    ...numbers.map((number, offset) => read("the log", number, offset, number === 1 ? "b" : "a")),
  ];
  t.same(problems([...sends, ...stored(0, 1, 2)]), []);
  t.match(problems([...sends, ...stored(2, 0)]).join(), /p:0 at .* comes after p:2/, "disorder of a key");
  const elsewhere: NewEvent = {
    what: "read",
    reader: "the log",
    topic: TOPIC,
    partition: 1,
    offset: 0,
    ...content(2, "a"),
  };
  const otherPartition: NewEvent = {
    ...elsewhere,
    what: "start",
    reader: "the log",
    subscription: null,
    isFinal: true,
  };
  t.match(problems([...sends, ...stored(0, 1), otherPartition, elsewhere]), [/key a is in partitions/]);
});

t.test("a reader", async (t) => {
  const all = [...published, start("r"), read("r", 0, 0), read("r", 1, 1), read("r", 2, 2)];
  t.same(problems([...all, ...log(0, 1, 2)]), []);
  const skipping = [...published, start("r"), read("r", 0, 0), read("r", 2, 2), ...log(0, 1, 2)];
  t.match(problems(skipping)[0], /events\/0@2 instead of 1: a gap that nobody reported/, "an unreported gap");
  t.match(problems(skipping)[1], /r of events: p:1 at .* was never read/, "and what it missed");
  const again = [
    ...published,
    start("r"),
    read("r", 0, 0),
    read("r", 0, 0),
    read("r", 1, 1),
    read("r", 2, 2),
  ];
  t.match(
    problems([...again, ...log(0, 1, 2)]),
    [/events\/0@0 instead of 1: again/],
    "a record that comes again",
  );
  const told = [topic(), sent(0), sent(2), start("r"), read("r", 0, 0), gap("r", 1, 2), read("r", 2, 2)];
  const storedBehind = [start("the log"), read("the log", 0, 0), gap("the log", 1, 2), read("the log", 2, 2)];
  t.same(problems([...told, ...storedBehind]), [], "a gap that is reported");
  const late = [topic(), sent(0), sent(2), start("r"), read("r", 0, 0), read("r", 2, 2), gap("r", 1, 2)];
  t.match(problems([...late, ...storedBehind]), [/nobody reported/], "too late");
  const feared = [
    topic(),
    sent(0),
    sent(1),
    sent(3),
    start("r"),
    gap("r", 0, 0),
    read("r", 0, 0),
    read("r", 1, 1),
  ];
  const behindFear = [start("the log"), read("the log", 0, 0), read("the log", 1, 1), gap("the log", 2, 3)];
  const last = [gap("r", 2, 3), read("r", 3, 3), ...behindFear, read("the log", 3, 3)];
  t.same(problems([...feared, ...last]), [], "one that turned out to be none before it");
  t.match(problems([...published, read("r", 0, 0), ...log(0, 1, 2)]), [/does not have/], "without having it");
  const altered: NewEvent = { what: "read", reader: "r", ...place(1), ...content(1), digest: "other" };
  const seen = [...published, start("r"), read("r", 0, 0), altered, read("r", 2, 2), ...log(0, 1, 2)];
  t.match(problems(seen), [/r: events\/0@1 is altered/], "an altered record");
});

t.test("members of a stream subscription", async (t) => {
  const board: NewEvent = { what: "subscription", topic: TOPIC, subscription: "board", mode: "stream" };
  const base = [board, ...published, ...log(0, 1, 2)];
  const first = [start("m1", 0, "board"), read("m1", 0, 0), read("m1", 1, 1)];
  t.same(problems([...base, ...first, committed("m1", 2), start("m2", 2, "board"), read("m2", 2, 2)]), []);
  const unconfirmed = [...first, start("m2", 1, "board"), read("m2", 1, 1), read("m2", 2, 2)];
  t.same(problems([...base, ...unconfirmed]), [], "what was not committed comes again");
  const back = [...first, committed("m1", 2), start("m1", 1, "board"), read("m1", 1, 1), read("m1", 2, 2)];
  t.match(problems([...base, ...back]), [/m1 starts at 1, m1 had committed 2/], "a cursor that goes back");
  const waiting: NewEvent[] = Array.from({ length: 6 }, () => ({
    what: "chaos",
    action: "nothing",
    target: "x",
  }));
  const other = [start("m2", 1, "board"), read("m2", 1, 1), read("m2", 2, 2)];
  t.match(
    problems([...base, ...first, committed("m1", 2), ...waiting, ...other]),
    [/m2 starts at 1/],
    "for others",
  );
  t.same(problems([...base, ...first, committed("m1", 2), ...other]), [], "but what was on its way");
  const stop: NewEvent = { what: "chaos", action: "stop", target: "node 1" };
  const go: NewEvent = { what: "chaos", action: "continue", target: "node 1" };
  t.same(
    problems([...base, ...first, stop, committed("m1", 2), ...waiting, go, ...other]),
    [],
    "or was in a process that was stopped",
  );
  t.match(
    problems([...base, ...first]),
    [/board of events: p:2 at .* was never read/],
    "a record that nobody read",
  );
});

/** What workers of a subscription do; the n-th lease has the worker `w<n>`. */
function workersOf(subscription: string, key: string | null) {
  const common = (counter: number, number: number, epoch: number) => {
    return { worker: `w${counter}`, subscription, ...place(number, JOBS), epoch, counter };
  };
  return {
    lease: (counter: number, number: number, deliveryCount = 1, epoch = 1): NewEvent => {
      return { what: "leased", deliveryCount, ...common(counter, number, epoch), ...content(number, key) };
    },
    settle: (counter: number, number: number, action: "ack" | "nack" = "ack"): NewEvent => {
      return { what: "settle", ...common(counter, number, 1), action };
    },
    settled: (counter: number, number: number, outcome = "done"): NewEvent => {
      return { what: "settled", ...common(counter, number, 1), action: "ack", outcome };
    },
  };
}

/** Time that passes, a second each. */
const seconds = (count: number): NewEvent[] =>
  Array.from({ length: count }, () => ({ what: "chaos", action: "nothing", target: "x" }));

t.test("workers of a queue", async (t) => {
  const crew: NewEvent = { what: "subscription", topic: JOBS, subscription: "crew", mode: "queue" };
  const { lease, settle, settled } = workersOf("crew", null);
  const stored: NewEvent = { what: "read", reader: "the log", ...place(0, JOBS), ...content(0) };
  const begin = [topic(JOBS), crew, sent(0, null, JOBS), acked(0, 0, JOBS)];
  const base = [...begin, start("the log", 0, null, JOBS), stored];
  const done = [lease(1, 0), settle(1, 0), settled(1, 0)];
  t.same(problems([...base, ...done]), []);
  t.match(
    problems([...base, ...done, lease(2, 0, 2)]),
    [/acked by w1 .* delivered again to w2/],
    "redelivered",
  );
  t.match(
    problems([...base, lease(2, 0, 2), ...done]),
    [/delivered again/],
    "wherever it stands in the history",
  );
  t.match(
    problems([...base, ...done, lease(1, 0, 1, 2)]),
    [/delivered again/],
    "by a later life of the shard",
  );
  t.match(
    problems([...base, ...done, ...seconds(5), lease(2, 0)]),
    [/delivered again/],
    "long after, however it counts",
  );
  t.same(problems([...base, ...done, lease(2, 0)]), [], "not what was on its way");
  t.same(problems([...base, lease(2, 0, 1, 0), ...done]), [], "not what was leased before");
  t.same(problems([...base, ...done, ...seconds(5), lease(2, 0, 1, 0)]), [], "even if it comes late");
  const unknown = [lease(1, 0), settle(1, 0), settled(1, 0, "CONNECTION_LOST")];
  t.same(problems([...base, ...unknown]), [], "an ack of which nothing is known");
  t.same(
    problems([...base, ...unknown, lease(2, 0, 2), settle(2, 0), settled(2, 0)]),
    [],
    "may have been lost",
  );
  const refused = [lease(1, 0), settle(1, 0), settled(1, 0, "LEASE_EXPIRED")];
  t.match(problems([...base, ...refused]), [/p:0 at .* was never acked/], "an ack that came too late");
  t.match(problems(base), [/never acked/], "a message that nobody got");
  t.match(problems([...base, lease(1, 0), settle(1, 0, "nack")]), [/never acked/], "or wanted");
  const twice = [lease(1, 0), settle(1, 0), lease(2, 0, 1), settle(2, 0), settled(2, 0), settled(1, 0)];
  t.match(problems([...base, ...twice]).join(), /was acked by w2 .* and by w1/, "acked by two");
  const altered = { ...(lease(1, 0) as object), digest: "other" } as NewEvent;
  t.match(problems([...base, altered, settle(1, 0), settled(1, 0)]), [/crew \(w1\): jobs\/0@0 is altered/]);
});

t.test("workers of a keyed subscription", async (t) => {
  const tellers: NewEvent = { what: "subscription", topic: JOBS, subscription: "tellers", mode: "keyed" };
  const { lease, settle, settled } = workersOf("tellers", "k");
  const ack = (counter: number, number: number): NewEvent[] => [
    settle(counter, number),
    settled(counter, number),
  ];
  const lost = (counter: number, number: number): NewEvent[] => [
    settle(counter, number),
    settled(counter, number, "CONNECTION_LOST"),
  ];
  const stored = [0, 1].map((number): NewEvent => {
    return { what: "read", reader: "the log", ...place(number, JOBS), ...content(number, "k") };
  });
  const sends = [sent(0, "k", JOBS), sent(1, "k", JOBS)];
  const base = [topic(JOBS), tellers, ...sends, start("the log", 0, null, JOBS), ...stored];
  t.same(problems([...base, lease(1, 0), ...ack(1, 0), lease(2, 1), ...ack(2, 1)]), []);
  t.same(
    problems([...base, lease(1, 0), ...lost(1, 0), lease(2, 1), ...ack(2, 1)]),
    [],
    "an ack that was taken",
  );
  const early = [...base, lease(1, 0), lease(2, 1), ...ack(1, 0), ...ack(2, 1)];
  t.match(
    problems(early),
    [/key k: jobs\/0@1 .* before anybody had acked jobs\/0@0/],
    "two of a key at once",
  );
  const back = [lease(1, 0), ...lost(1, 0), lease(2, 1), ...ack(2, 1), lease(3, 0, 2, 2)];
  t.match(problems([...base, ...back]), [/key k: .*@1 was leased .*, and then .*@0/], "a key that goes back");
  const late = [lease(1, 0), ...lost(1, 0), lease(2, 1), ...ack(2, 1), ...seconds(5), lease(3, 0)];
  t.match(problems([...base, ...late]), [/key k: .*, and then/], "in the same life");
});

t.test("what a process noticed, and places", async (t) => {
  t.same(problems([{ what: "problem", text: "odd" }]), ["odd"]);
  const reused = [topic(TOPIC, "memory"), sent(0), sent(1), start("r"), read("r", 0, 0)];
  t.match(
    problems([...reused, ...log(1)]).join(),
    /events\/0@0 was p:0 and is p:1/,
    "an offset that is used again",
  );
});
