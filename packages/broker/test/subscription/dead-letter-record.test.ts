import { BatchReader, type IncomingRecord } from "@millrace/protocol";
import { BatchBuilder, RECORD_FLAG, RecordWalker, writeBatchHead } from "@millrace/protocol/internal";
import t from "tap";
import { type DeadLetterOrigin, deadLetterBatch } from "../../src/subscription/dead-letter-record.ts";

const ORIGIN: DeadLetterOrigin = {
  reason: "poison",
  deliveries: 3,
  subscription: "workers",
  topic: "jobs",
  partition: 4,
  offset: 9_000_000_000,
  timeMs: 1_700_000_000_000,
  deadMs: 1_700_000_000_500,
  isRedriven: false,
};
const HEADERS = {
  "millrace-dead-reason": "poison",
  "millrace-delivery-count": "3",
  "millrace-subscription": "workers",
  "millrace-dead-time": "1700000000500",
  "millrace-origin-topic": "jobs",
  "millrace-origin-partition": "4",
  "millrace-origin-offset": "9000000000",
  "millrace-origin-time": "1700000000000",
};

function letterOf(stored: Uint8Array, index: number, origin: DeadLetterOrigin = ORIGIN): Uint8Array {
  const walker = new RecordWalker();
  walker.reset(stored, 0, stored.length);
  walker.seek(index);
  return deadLetterBatch(stored, walker, origin);
}

function recordOf(stored: Uint8Array): IncomingRecord {
  const reader = new BatchReader();
  reader.reset(stored, 0, stored.length);
  if (!reader.verifyChecksum() || reader.count !== 1) throw new Error("a damaged dead letter");
  return reader.recordAt(0);
}

t.test("a dead letter keeps what the record had and says where it comes from", async (t) => {
  const builder = new BatchBuilder(10_000);
  builder.append({ value: "bare" });
  builder.append({
    key: "k",
    headers: { own: "1" },
    value: { nested: [1, "x"] },
    timestamp: 5,
    groupKey: "g",
  });
  const stored = builder.finish();
  const bare = recordOf(letterOf(stored, 0));
  t.match(bare, { value: "bare", key: undefined });
  t.same(bare.headers, HEADERS);
  const full = recordOf(letterOf(stored, 1));
  t.match(full, { key: "k", value: { nested: [1, "x"] }, timestamp: 5, groupKey: "g" });
  t.same(full.headers, { own: "1", ...HEADERS });
});

t.test(
  "a second death replaces what the first has said, but not where a redriven one came from",
  async (t) => {
    const builder = new BatchBuilder(10_000);
    builder.append({ value: "v" });
    const first = letterOf(builder.finish(), 0);
    const later = { ...ORIGIN, reason: "again", deliveries: 1, topic: "jobs.dlq", offset: 0 };
    t.match(recordOf(letterOf(first, 0, later)).headers, {
      "millrace-dead-reason": "again",
      "millrace-origin-topic": "jobs.dlq",
      "millrace-origin-offset": "0",
    });
    t.match(recordOf(letterOf(first, 0, { ...later, isRedriven: true })).headers, {
      "millrace-dead-reason": "again",
      "millrace-delivery-count": "1",
      "millrace-origin-topic": "jobs",
      "millrace-origin-offset": "9000000000",
    });
  },
);

t.test("what is no record is not lost either", async (t) => {
  const content = [0xc4, 3, 1, 2, 3];
  const stored = new Uint8Array(100);
  const at = writeBatchHead(stored, 0, 0, 1, content.length);
  stored.set(content, at);
  const letter = letterOf(stored.subarray(0, at + content.length), 0);
  t.same([...letter.subarray(-10, -5)], content);
  const walker = new RecordWalker();
  walker.reset(letter, 0, letter.length);
  t.equal(walker.flags, RECORD_FLAG.HEADERS);
});
