import t from "tap";
import { ControlledAction, INSUFFICIENT_CAPACITY, ManyToOneRingBuffer } from "../../src/index.ts";
import { MANY_TAIL_WORD } from "../../src/ring/many-to-one-layout.ts";

/** Positions count units of 8 bytes in 32 bits. */
const WRAP = 2 ** 35;

function trio(
  capacity: number,
  startPosition = 0,
): [ManyToOneRingBuffer, ManyToOneRingBuffer, ManyToOneRingBuffer] {
  const buffer = ManyToOneRingBuffer.allocate(capacity, startPosition);
  const attach = (): ManyToOneRingBuffer => ManyToOneRingBuffer.attach(buffer);
  return [attach(), attach(), attach()];
}

function texts(ring: ManyToOneRingBuffer, limit?: number): string[] {
  const found: string[] = [];
  ring.read((type, index, length) => {
    found.push(`${type}:${ring.bytes.toString("latin1", index, index + length)}`);
  }, limit);
  return found;
}

/** Moves the tail as a producer does that dies before its next step. */
function dieAfterClaiming(ring: ManyToOneRingBuffer, bytes: number): void {
  Atomics.add(new Int32Array(ring.buffer), MANY_TAIL_WORD, bytes / 8);
}

t.test("records of two producers arrive in the order of their claims", async (t) => {
  const [one, two, consumer] = trio(1024);
  t.equal(one.capacity, 1024);
  t.equal(one.maxMessageLength, 1024 / 8 - 8);
  const first = one.tryClaim(1, 5);
  const second = two.tryClaim(2, 3);
  t.equal(first, 8);
  t.equal(second, 24);
  two.bytes.write("two", second, "latin1");
  two.commit(second);
  t.same(texts(consumer), [], "the claim in front is open");
  one.bytes.write("first", first, "latin1");
  one.commit(first);
  t.same(texts(consumer), ["1:first", "2:two"]);
  t.equal(consumer.size(), 0);
});

t.test("a commit publishes at once, and publish says whether there was one", async (t) => {
  const [producer, other, consumer] = trio(1024);
  t.equal(producer.publish(), false);
  producer.write(7, Buffer.from("hello"));
  t.same(texts(consumer), ["7:hello"]);
  t.equal(producer.publish(), true);
  t.equal(producer.publish(), false);
  t.equal(other.publish(), false);
  producer.abort(producer.tryClaim(1, 8));
  t.equal(producer.publish(), false, "an aborted claim is nothing to ring for");
  producer.commitLength(producer.tryClaim(1, 8), 0);
  t.equal(producer.publish(), true);
});

t.test("a claim is zeros, and is filled in place, shortened or given up", async (t) => {
  const [producer, , consumer] = trio(256);
  for (let lap = 0; lap < 5; lap++) {
    const aborted = producer.tryClaim(9, 24);
    t.ok(producer.bytes.subarray(aborted, aborted + 24).every((byte) => byte === 0));
    producer.bytes.fill(0xff, aborted, aborted + 24);
    producer.abort(aborted);
    const index = producer.tryClaim(1, 24);
    producer.bytes.fill(0xff, index, index + 24);
    producer.bytes.write("short", index, "latin1");
    producer.commitLength(index, 5);
    t.same([...producer.bytes.subarray(index + 5, index + 8)], [0, 0, 0], "no old bytes behind the payload");
    producer.write(2, Buffer.from("next"));
    t.same(texts(consumer), ["1:short", "2:next"]);
    t.ok(
      consumer.bytes.every((byte) => byte === 0),
      "what was read is zero again",
    );
  }
});

t.test("the record that does not fit at the end starts at the front", async (t) => {
  const [producer, , consumer] = trio(256, WRAP - 16);
  t.equal(producer.tryClaim(1, 20), 8);
  t.equal(consumer.size(), 16 + 32);
  producer.commit(8);
  let read = 0;
  t.equal(
    consumer.read((type, index, length) => {
      read++;
      t.same([type, index, length], [1, 8, 20]);
    }),
    1,
    "padding is no record",
  );
  t.equal(read, 1);
  t.equal(consumer.size(), 0);
});

t.test("a full ring refuses, and claims nothing", async (t) => {
  const [producer, other, consumer] = trio(128, WRAP - 64);
  const payload = Buffer.alloc(8, 1);
  for (let i = 0; i < 8; i++) t.ok(producer.write(1, payload) >= 0);
  t.equal(producer.size(), 128);
  t.equal(producer.write(1, payload), INSUFFICIENT_CAPACITY);
  t.equal(other.tryClaim(1, 0), INSUFFICIENT_CAPACITY);
  t.equal(
    consumer.read(() => undefined, 1),
    1,
  );
  t.ok(other.write(2, payload) >= 0);
  t.equal(producer.write(1, payload), INSUFFICIENT_CAPACITY);
  t.equal(texts(consumer).length, 8);
  t.equal(consumer.size(), 0);
});

t.test("positions pass every edge of 32 bits", async (t) => {
  for (const edge of [2 ** 31, 2 ** 32, 2 ** 34, WRAP, 2 ** 40]) {
    const [one, two, consumer] = trio(256, edge - 512);
    let sum = 0;
    for (let i = 0; i < 200; i++) {
      const length = i % 25;
      t.ok((i % 3 === 0 ? one : two).write(1 + i, Buffer.alloc(length, i)) >= 0);
      consumer.read((type, index, got) => {
        if (type !== 1 + i || got !== length || (got > 0 && consumer.bytes[index] !== i))
          t.fail(`record ${i}`);
        sum++;
      });
    }
    t.equal(sum, 200);
    t.equal(consumer.size(), 0);
  }
});

t.test("read keeps to its limit, and counts a record whose handler throws as read", async (t) => {
  const [producer, , consumer] = trio(1024);
  for (const text of ["a", "b", "c", "d"]) producer.write(1, Buffer.from(text));
  t.equal(
    consumer.read(() => undefined, 0),
    0,
  );
  t.same(texts(consumer, 1), ["1:a"]);
  t.throws(
    () =>
      consumer.read((_type, index) => {
        if (consumer.bytes[index] === 0x63) throw new Error("no c");
      }),
    { message: "no c" },
  );
  t.equal(consumer.size(), 16, "what was read is given back");
  t.same(texts(consumer), ["1:d"]);
});

t.test("read gives space back on its way", async (t) => {
  const [producer, , consumer] = trio(1024);
  for (let i = 0; i < 64; i++) producer.write(1, Buffer.alloc(8, i));
  let read = 0;
  let written = 0;
  consumer.read(() => {
    if (++read === 32 && producer.write(2, Buffer.alloc(8)) >= 0) written++;
  });
  t.equal(written, 1, "before it has come to the end");
  t.same([read, consumer.size()], [64, 16], "one lap is the most that one call reads");
});

t.test("a claim whose producer died is taken away", async (t) => {
  const [dead, living, consumer] = trio(256, WRAP - 128);
  dead.tryClaim(1, 20);
  t.equal(living.write(2, Buffer.from("behind")) > 0, true);
  t.same(texts(consumer), []);
  t.equal(consumer.unblock(), true);
  t.equal(consumer.unblock(), false, "the head is padding now");
  t.same(texts(consumer), ["2:behind"]);
  t.equal(consumer.unblock(), false, "nothing is in the way");
  t.equal(consumer.size(), 0);
  t.ok(consumer.bytes.every((byte) => byte === 0));
});

t.test("a late commit of a claim that was taken away is told", async (t) => {
  for (const end of ["commit", "commitLength", "abort"] as const) {
    const [late, , consumer] = trio(256);
    const index = late.tryClaim(1, 8);
    consumer.unblock();
    t.throws(() => (end === "commitLength" ? late.commitLength(index, 3) : late[end](index)), {
      message: /taken back by unblock.*index=8 header=16 expected=-16/,
    });
    t.same(texts(consumer), []);
    t.ok(late.write(2, Buffer.from("goes on")) > 0);
    t.same(texts(consumer), ["2:goes on"]);
  }
});

t.test("a commit in time leaves nothing to take away", async (t) => {
  const [producer, , consumer] = trio(256);
  producer.commit(producer.tryClaim(1, 8));
  t.equal(consumer.unblock(), false);
  t.equal(texts(consumer).length, 1);
});

t.test("a claim without a length ends at the next record, found twice", async (t) => {
  const [living, , consumer] = trio(256, WRAP - 128);
  dieAfterClaiming(living, 16);
  t.equal(consumer.unblock(), false);
  t.equal(consumer.unblock(), false, "nobody is behind it");
  living.write(1, Buffer.from("one"));
  t.equal(consumer.unblock(), false, "seen once");
  t.equal(consumer.unblock(), true);
  t.same(texts(consumer), ["1:one"]);
  t.equal(consumer.size(), 0);

  dieAfterClaiming(living, 24);
  const open = living.tryClaim(2, 8);
  t.equal(consumer.unblock(), false);
  t.equal(consumer.unblock(), true, "an open claim is an end too");
  t.same(texts(consumer), []);
  living.commit(open);
  t.same(texts(consumer).length, 1);
});

t.test("a slow producer's header moves the end of a claim without a length", async (t) => {
  const [living, slow, consumer] = trio(256);
  dieAfterClaiming(living, 16);
  // Slow has claimed 16 bytes at 16 and not written its header; a record stands behind.
  dieAfterClaiming(slow, 16);
  living.write(1, Buffer.from("one"));
  t.equal(consumer.unblock(), false);
  slow.words[16 >> 2] = -16;
  slow.words[20 >> 2] = 7;
  t.equal(consumer.unblock(), false, "the end is another than before");
  t.equal(consumer.unblock(), true);
  t.same(texts(consumer), []);
  Atomics.store(slow.words, 16 >> 2, 16);
  t.same(texts(consumer), ["7:\0\0\0\0\0\0\0\0", "1:one"]);
});

t.test("a claim without a length at the end of the region ends there", async (t) => {
  const [living, , consumer] = trio(256, WRAP - 8);
  // Padding to the end and a record at the front, of which nothing was written.
  dieAfterClaiming(living, 8 + 16);
  living.write(1, Buffer.from("one"));
  let rounds = 0;
  const found: string[] = [];
  while (consumer.size() > 0 && rounds++ < 10) {
    found.push(...texts(consumer));
    consumer.unblock();
  }
  t.same(found, ["1:one"]);
  t.equal(rounds, 5, "two looks at each of the two gaps");
});

t.test("a handler must not read its own ring, and may write to it", async (t) => {
  const [ring] = trio(1024);
  ring.write(1, Buffer.alloc(0));
  const nested = [
    () => ring.read(() => undefined),
    () => ring.controlledRead(() => ControlledAction.CONTINUE),
    () => ring.unblock(),
  ];
  ring.read(() => {
    for (const call of nested) t.throws(call, { message: /must not read/ });
    ring.write(2, Buffer.from("again"));
  }, 1);
  t.same(texts(ring), ["2:again"]);
});

t.test("misuse is refused with the values", async (t) => {
  const [producer] = trio(1024);
  t.throws(() => producer.tryClaim(0, 8), { message: /type=0 length=8/ });
  t.throws(() => producer.tryClaim(-1, 8), { message: /type=-1/ });
  t.throws(() => producer.tryClaim(2 ** 31, 8), RangeError);
  t.throws(() => producer.tryClaim(1, 1.5), RangeError);
  t.throws(() => producer.tryClaim(1, Number.NaN), RangeError);
  t.throws(() => producer.tryClaim(1, 121), { message: /0 to 120 bytes: type=1 length=121/ });
  t.throws(() => producer.write(1, new Uint8Array(121)), RangeError);
  t.throws(() => producer.commit(8), { message: /index=8 open=none/ });
  t.throws(() => producer.commit(-1), { message: /index=-1 open=none/ });
  const index = producer.tryClaim(1, 16);
  t.throws(() => producer.tryClaim(1, 16), { message: /index=8/ });
  t.throws(() => producer.commit(index + 8), { message: /index=16 open=8/ });
  t.throws(() => producer.abort(0), { message: /index=0 open=8/ });
  t.throws(() => producer.commitLength(0, 8), { message: /index=0 open=8/ });
  t.throws(() => producer.commitLength(index, 17), { message: /length=17 claimed=16/ });
  t.throws(() => producer.commitLength(index, -1), RangeError);
  producer.commit(index);
  t.throws(() => producer.commit(index), Error);
  t.throws(() => producer.abort(index), Error);
});

t.test("a record that somebody overwrote is not followed", async (t) => {
  for (const length of [1, 7, 1032, 2 ** 31 - 1]) {
    const [producer, , consumer] = trio(1024);
    producer.write(1, Buffer.from("hello"));
    producer.words[0] = length;
    const message = new RegExp(`damaged ring: record length=${length} index=0`);
    t.throws(() => consumer.read(() => undefined), { message });
    t.throws(() => consumer.controlledRead(() => ControlledAction.CONTINUE), { message });
  }
});
