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
  const ring = new OneToOneRingBuffer(OneToOneRingBuffer.allocate(65_536));
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
