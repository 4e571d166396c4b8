import { OneToOneRingBuffer } from "@millrace/core";
import { ERROR_CODES, MillraceError } from "@millrace/protocol";
import { unpack } from "msgpackr";
import t from "tap";
import * as out from "../../src/link/outbound-layout.ts";
import type { ColdReadMessage } from "../../src/reader/cold-read-message.ts";
import {
  type ColdEntries,
  type ColdReadResult,
  ColdReadServer,
  MOVED,
  NO_ENTRIES,
  UNFINISHED,
} from "../../src/reader/cold-read-server.ts";

/** Gives what the test says, in turn. */
class ScriptedEntries implements ColdEntries {
  readonly holdsFiles = false;
  readonly results: (Partial<ColdReadResult> | MillraceError)[] = [];
  readonly times: number[] = [];

  read(): ColdReadResult {
    const result = this.results.shift() ?? {};
    if (result instanceof MillraceError) throw result;
    return { ...NO_ENTRIES, ...result };
  }

  findTime(): number {
    return this.times.shift() ?? UNFINISHED;
  }

  closeIdle(): void {}
}

interface Answer {
  readonly type: number;
  readonly words: Int32Array;
  readonly bytes: Buffer;
}

function served(): {
  entries: ScriptedEntries;
  server: ColdReadServer;
  answers: () => Answer[];
  logged: string[];
} {
  const ring = OneToOneRingBuffer.attach(OneToOneRingBuffer.allocate(65_536));
  const entries = new ScriptedEntries();
  const logged: string[] = [];
  const server = new ColdReadServer(entries, ring, (event) => logged.push(event));
  const answers = (): Answer[] => {
    ring.publish();
    const found: Answer[] = [];
    ring.read((type, index, length) => {
      const bytes = Buffer.from(ring.bytes.subarray(index - 8, index + length));
      const words = new Int32Array(new Uint8Array(bytes).buffer, 0, bytes.length >> 2);
      found.push({ type, bytes, words });
    });
    return found;
  };
  return { entries, server, answers, logged };
}

const READ: ColdReadMessage = {
  kind: "read",
  id: 7,
  shardId: 0,
  topicId: 1,
  partition: 0,
  offset: 10,
  limitOffset: 50,
  timeMs: 0,
  maxBytes: 4_000,
  logEpoch: 1,
  endPosition: 1_000,
  location: undefined,
};

const progress = ({ type, words }: Answer): number[] => {
  if (type !== out.OUTBOUND.PROGRESS) throw new Error(`type=${type}`);
  return [
    words[out.PROGRESS_STREAM_ID] as number,
    words[out.PROGRESS_REASON] as number,
    words[out.PROGRESS_NEXT_OFFSET] as number,
  ];
};

t.test("a search that takes long is not answered, and claims nothing of the ring", async (t) => {
  const { entries, server, answers } = served();
  entries.results.push({ state: UNFINISHED }, { state: UNFINISHED }, { firstOffset: 20 });
  for (let turn = 0; turn < 2; turn++) {
    t.equal(server.serve(READ), false);
    t.equal(server.isUnfinished, true);
    t.same(answers(), []);
  }
  t.equal(server.serve(READ), true);
  t.equal(server.isUnfinished, false);
  t.same(answers().map(progress), [[7, out.PROGRESS_GAP, 20]]);

  entries.times.push(UNFINISHED, 33);
  t.equal(server.serve({ ...READ, kind: "time" }), false);
  t.equal(server.isUnfinished, true);
  t.equal(server.serve({ ...READ, kind: "time" }), true);
  const [reply] = answers();
  t.equal(reply?.type, out.OUTBOUND.REPLY);
  t.same(unpack(reply?.bytes.subarray(out.REPLY_PAYLOAD) as Buffer), [0, 33]);
});

t.test("what has moved, or may have been dropped, is asked of the shard again", async (t) => {
  const { entries, server, answers } = served();
  entries.results.push({ state: MOVED }, { firstOffset: 20, bytes: 100, entryCount: 1, mayBeDropped: true });
  t.equal(server.serve(READ), true);
  t.equal(server.serve(READ), true);
  // Progress to where the stream is already: it reads again, through its shard.
  t.same(answers().map(progress), [
    [7, out.PROGRESS_GAP, 10],
    [7, out.PROGRESS_GAP, 10],
  ]);
});

t.test(
  "a batch that a repair has erased is lost to damage, from the offset on that was asked for",
  async (t) => {
    const { entries, server, answers } = served();
    entries.results.push(
      { firstOffset: 10, erasedEnd: 14 },
      { firstOffset: 8, erasedEnd: 11 },
      { firstOffset: 20, erasedEnd: 25 },
      { firstOffset: 10, bytes: 100, entryCount: 1, nextOffset: 12, erasedEnd: -1 },
    );
    for (let i = 0; i < 4; i++) t.equal(server.serve(READ), true);
    const [whole, within, behind, delivered] = answers();
    t.same(progress(whole as Answer), [7, out.PROGRESS_DAMAGE, 14]);
    t.same(progress(within as Answer), [7, out.PROGRESS_DAMAGE, 11]);
    t.same(progress(behind as Answer), [7, out.PROGRESS_GAP, 20], "what was never used is told by itself");
    t.equal(delivered?.type, out.OUTBOUND.DELIVER);
  },
);

t.test("a gap ends at the limit; damage ends the stream and is logged", async (t) => {
  const { entries, server, answers, logged } = served();
  entries.results.push(
    {},
    { firstOffset: 90 },
    { firstOffset: 10, bytesNeeded: 500 },
    new MillraceError("JOURNAL_DAMAGED", "bad entry", { details: { file: "f", position: 3 } }),
  );
  for (let i = 0; i < 4; i++) t.equal(server.serve(READ), true);
  const [none, beyond, large, damaged] = answers();
  t.same(progress(none as Answer), [7, out.PROGRESS_GAP, 50]);
  t.same(progress(beyond as Answer), [7, out.PROGRESS_GAP, 50]);
  t.equal(large?.type, out.OUTBOUND.NEEDS_CREDIT);
  t.equal(large?.words[out.NEEDS_CREDIT_BYTES_NEEDED], 521);
  t.equal(damaged?.type, out.OUTBOUND.READ_ERROR);
  t.equal(damaged?.words[out.READ_ERROR_NUMBER], ERROR_CODES.READ_FAILED.code);
  t.same(logged, ["cold-read-failed"]);
});

/** One entry of some bytes from the offset on. */
const entry = (offset: number, bytes = 100): Partial<ColdReadResult> => ({
  bytes,
  entryCount: 1,
  firstOffset: offset,
  nextOffset: offset + 5,
});

const SETTLED: ColdReadMessage = { ...READ, settled: { epoch: 1, generation: 1, endOffset: 40 } };

const delivered = ({ type, words }: Answer): number[] => {
  if (type !== out.OUTBOUND.DELIVER) throw new Error(`type=${type}`);
  return [
    words[out.DELIVER_STREAM_ID] as number,
    words[out.DELIVER_FIRST_OFFSET] as number,
    words[out.DELIVER_NEXT_OFFSET] as number,
  ];
};

t.test("what a lone replay will ask for next stands ready, and is shown once it is asked for", async (t) => {
  const { entries, server, answers } = served();
  t.equal(server.readAhead(), false, "nobody reads");
  entries.results.push(entry(10), entry(15), entry(20));
  server.serve(SETTLED);
  t.same(answers().map(delivered), [[7, 10, 15]]);
  t.equal(server.readAhead(), true);
  t.equal(server.readAhead(), false, "no further than one answer");
  t.same(answers(), [], "nobody sees it yet");
  t.equal(server.serve({ ...SETTLED, offset: 15 }), true);
  t.same(answers().map(delivered), [[7, 15, 20]]);
  t.equal(server.readAhead(), true, "and so on");
  t.equal(server.serve({ ...SETTLED, offset: 20 }), true);
  t.same(answers().map(delivered), [[7, 20, 25]]);
  t.equal(entries.results.length, 0, "each was read once");
});

t.test("the next fetch of a partition has another id, and finds what was read ahead for it", async (t) => {
  const { entries, server, answers } = served();
  entries.results.push(entry(10), entry(15), entry(20), entry(15));
  const fetch = { ...SETTLED, kind: "fetch" } as const;
  server.serve(fetch);
  t.equal(server.readAhead(), true);
  server.serve({ ...fetch, id: 1031, offset: 15 });
  t.same(answers().map(delivered), [
    [7, 10, 15],
    [1031, 15, 20],
  ]);
  t.equal(server.readAhead(), true);
  server.serve({ ...fetch, id: 2055, offset: 15, partition: 1 });
  t.same(answers().map(delivered), [[2055, 15, 20]], "another partition has to be read for");
  t.equal(entries.results.length, 0);
});

t.test("what was read ahead makes way for any other answer", async (t) => {
  const others: readonly [string, Partial<ColdReadMessage>][] = [
    ["another stream", { id: 8, offset: 15 }],
    ["another offset", { offset: 10 }],
    ["less room than it takes", { offset: 15, maxBytes: 80 }],
    ["a limit before its end", { offset: 15, limitOffset: 18 }],
    ["another log epoch", { offset: 15, logEpoch: 2 }],
  ];
  for (const [what, change] of others) {
    const { entries, server, answers } = served();
    entries.results.push(entry(10), entry(15), { firstOffset: 33 });
    server.serve(SETTLED);
    t.equal(server.readAhead(), true);
    answers();
    const message = { ...SETTLED, ...change };
    t.equal(server.serve(message), true, what);
    const next = Math.min(33, message.limitOffset);
    t.same(answers().map(progress), [[message.id, out.PROGRESS_GAP, next]], what);
  }
});

t.test("only what is settled is read ahead, and nothing that does not stand at the offset", async (t) => {
  const { entries, server, answers } = served();
  entries.results.push(entry(10), entry(35), entry(10));
  server.serve(READ);
  t.equal(server.readAhead(), false, "where the journal goes on, the shard knows");
  server.serve({ ...SETTLED, offset: 35 });
  t.equal(server.readAhead(), false, "what follows is not settled");
  answers();
  for (const result of [{ firstOffset: 20 }, { state: UNFINISHED }, { state: MOVED }] as const) {
    entries.results.splice(0, entries.results.length, entry(10), result, entry(15));
    server.serve(SETTLED);
    t.equal(server.readAhead(), true);
    t.equal(server.serve({ ...SETTLED, offset: 15 }), true);
    t.same(answers().map(delivered).at(-1), [7, 15, 20], "it is read when it is asked for");
  }
  const damage = new MillraceError("JOURNAL_DAMAGED", "bad entry");
  entries.results.push(entry(10), damage, damage);
  server.serve(SETTLED);
  t.equal(server.readAhead(), true, "damage is met");
  answers();
  server.serve({ ...SETTLED, offset: 15 });
  t.equal(answers()[0]?.type, out.OUTBOUND.READ_ERROR, "and told to who asks");
});
