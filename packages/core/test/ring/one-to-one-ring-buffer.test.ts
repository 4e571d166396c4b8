import t from "tap";
import { INSUFFICIENT_CAPACITY, OneToOneRingBuffer } from "../../src/index.ts";

interface Pair {
  producer: OneToOneRingBuffer;
  consumer: OneToOneRingBuffer;
}

function pair(capacity: number, startPosition = 0): Pair {
  const buffer = OneToOneRingBuffer.allocate(capacity, startPosition);
  return { producer: OneToOneRingBuffer.attach(buffer), consumer: OneToOneRingBuffer.attach(buffer) };
}

function texts(ring: OneToOneRingBuffer, limit?: number): string[] {
  const found: string[] = [];
  ring.read((type, index, length) => {
    found.push(`${type}:${ring.bytes.toString("latin1", index, index + length)}`);
  }, limit);
  return found;
}

t.test("a record travels from one side to the other", async (t) => {
  const { producer, consumer } = pair(1024);
  t.equal(producer.capacity, 1024);
  t.equal(producer.maxMessageLength, 1024 / 8 - 8);
  t.equal(producer.write(7, Buffer.from("hello")), 8);
  t.equal(consumer.poll(), 0, "nothing is visible before publish");
  t.equal(consumer.next(), -1);
  t.equal(producer.publish(), true);
  t.equal(producer.publish(), false, "nothing new");
  t.same(texts(consumer), ["7:hello"]);
  t.equal(consumer.readPosition, 16);
  t.equal(consumer.headPosition, 16);
  t.equal(producer.freeSpace(), 1024);
});

t.test("next and advance step through records where they lie", async (t) => {
  const { producer, consumer } = pair(1024);
  producer.write(1, Buffer.from("one"));
  producer.write(2, Buffer.alloc(0));
  producer.write(3, Buffer.from("twelve bytes"));
  producer.publish();
  t.equal(consumer.poll(), 16 + 8 + 24);
  t.equal(consumer.next(), 0);
  t.equal(consumer.next(), 0, "a second look moves nothing");
  t.equal(consumer.words[0], 8 + 3);
  t.equal(consumer.words[1], 1);
  consumer.advance();
  t.equal(consumer.readPosition, 16);
  t.equal(consumer.next(), 16);
  t.equal(consumer.words[16 >> 2], 8, "an empty payload is a header alone");
  consumer.advance();
  t.equal(consumer.next(), 24);
  t.equal(consumer.recordPosition, 24);
  consumer.advance();
  t.equal(consumer.next(), -1);
  t.equal(consumer.headPosition, 0, "nothing was released yet");
  t.equal(producer.freeSpace(), 1024 - 48);
  consumer.release(24);
  t.equal(producer.freeSpace(), 1024 - 24);
  t.equal(consumer.bytes.toString("latin1", 32, 44), "twelve bytes", "what is held stays readable");
  consumer.release();
  t.equal(producer.freeSpace(), 1024);
});

t.test("next sees what the last poll saw", async (t) => {
  const { producer, consumer } = pair(1024);
  producer.write(1, Buffer.from("a"));
  producer.publish();
  consumer.poll();
  producer.write(1, Buffer.from("b"));
  producer.publish();
  t.equal(consumer.next(), 0);
  consumer.advance();
  t.equal(consumer.next(), -1, "a drain ends, however fast the producer is");
  t.equal(consumer.poll(), 16);
  t.equal(consumer.next(), 16);
});

t.test("a claim is filled in place, shortened or given back", async (t) => {
  const { producer, consumer } = pair(1024);
  const aborted = producer.tryClaim(9, 40);
  producer.bytes.fill(0xff, aborted, aborted + 40);
  producer.abort(aborted);
  t.equal(producer.publish(), false);
  const index = producer.tryClaim(1, 40);
  t.equal(index, aborted, "the space of the aborted claim is used again");
  producer.bytes.write("short", index, "latin1");
  producer.commitLength(index, 5);
  producer.write(2, Buffer.from("next"));
  producer.publish();
  t.same([...producer.bytes.subarray(index + 5, index + 8)], [0, 0, 0], "no old bytes behind the payload");
  t.same(texts(consumer), ["1:short", "2:next"]);
});

t.test("the record that does not fit at the end starts at the front", async (t) => {
  const { producer, consumer } = pair(256, 256 - 16);
  t.equal(producer.tryClaim(1, 20), 8);
  producer.abort(8);
  t.equal(producer.publish(), false, "an aborted claim leaves no padding behind");
  producer.write(1, Buffer.from("sixteen."));
  t.equal(producer.write(2, Buffer.from("front")), 8);
  producer.publish();
  t.same(texts(consumer), ["1:sixteen.", "2:front"]);
  t.equal(consumer.readPosition, 256 + 16);

  const wrapped = pair(256, 256 - 16);
  wrapped.producer.write(3, Buffer.from("more than eight"));
  wrapped.producer.publish();
  t.equal(wrapped.consumer.poll(), 16 + 24);
  t.equal(wrapped.consumer.next(), 0, "padding is skipped");
  t.equal(wrapped.consumer.recordPosition, 256);
  t.equal(wrapped.consumer.readPosition, 256 - 16);
  wrapped.consumer.advance();
  t.equal(wrapped.consumer.readPosition, 256 + 24);
});

t.test("a full ring refuses, and publishes what it holds", async (t) => {
  const { producer, consumer } = pair(128);
  const payload = Buffer.alloc(8, 1);
  for (let i = 0; i < 8; i++) t.ok(producer.write(1, payload) >= 0);
  t.equal(producer.write(1, payload), INSUFFICIENT_CAPACITY);
  t.equal(producer.tryClaim(1, 0), INSUFFICIENT_CAPACITY);
  t.equal(consumer.poll(), 128);
  t.equal(producer.publish(), true, "the run that the refusal published is still to be announced");
  consumer.next();
  consumer.advance();
  t.equal(producer.write(1, payload), INSUFFICIENT_CAPACITY, "read is not released");
  consumer.release();
  t.ok(producer.write(1, payload) >= 0);
});

t.test("a run is published once it reaches an eighth of the capacity or 64 KiB", async (t) => {
  for (const [capacity, run] of [
    [1024, 128],
    [2 ** 20, 65536],
  ] as const) {
    const { producer, consumer } = pair(capacity);
    for (let committed = 0; committed < run; committed += 64) {
      t.equal(consumer.poll(), 0);
      producer.write(1, Buffer.alloc(56));
    }
    t.equal(consumer.poll(), run);
    t.equal(producer.publish(), true, "publish reports runs that went out by themselves");
    t.equal(producer.publish(), false);
  }
});

t.test("positions pass 2^31 and 2^32 and stay whole", async (t) => {
  for (const edge of [2 ** 31, 2 ** 32, 2 ** 40]) {
    const { producer, consumer } = pair(256, edge - 512);
    const start = consumer.readPosition;
    let sum = 0;
    for (let i = 0; i < 200; i++) {
      const length = i % 25;
      t.ok(producer.write(1 + i, Buffer.alloc(length, i)) >= 0);
      t.equal(producer.publish(), true);
      t.equal(producer.tail(), consumer.tail());
      consumer.read((type, index, got) => {
        if (type !== 1 + i || got !== length || (got > 0 && consumer.bytes[index] !== i))
          t.fail(`record ${i}`);
        sum++;
      });
    }
    t.equal(sum, 200);
    t.ok(consumer.readPosition > start + 200 * 8);
    t.equal(consumer.tail(), consumer.readPosition);
    t.equal(consumer.positionToIndex(consumer.readPosition), consumer.readPosition % 256);
  }
});

t.test("an instance that attaches later goes on where the ring stands", async (t) => {
  const { producer, consumer } = pair(1024, 2 ** 32 - 64);
  for (let i = 0; i < 3; i++) producer.write(1, Buffer.from(`${i}`));
  producer.publish();
  consumer.poll();
  consumer.next();
  consumer.advance();
  consumer.release();
  producer.write(1, Buffer.from("never published"));
  const late: OneToOneRingBuffer = OneToOneRingBuffer.attach(consumer.buffer);
  t.equal(late.freeSpace(), 1024 - 32);
  t.equal(late.size(), 32);
  t.same(texts(late), ["1:1", "1:2"]);
  late.write(1, Buffer.from("late"));
  late.publish();
  t.same(texts(late), ["1:late"]);
});

t.test("read keeps to its limit, and counts a record whose handler throws as read", async (t) => {
  const { producer, consumer } = pair(1024);
  for (const text of ["a", "b", "c", "d"]) producer.write(1, Buffer.from(text));
  producer.publish();
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
  t.equal(consumer.headPosition, 48, "what was read is released");
  t.same(texts(consumer), ["1:d"]);
});

t.test("one instance can serve both sides in one thread", async (t) => {
  const ring = OneToOneRingBuffer.attach(OneToOneRingBuffer.allocate(128));
  for (let i = 0; i < 1000; i++) {
    ring.write(1, Buffer.from(String(i)));
    ring.publish();
    t.same(texts(ring), [`1:${i}`]);
  }
  t.equal(ring.tail(), ring.readPosition);
});

t.test("misuse is refused with the values", async (t) => {
  const { producer, consumer } = pair(1024);
  t.throws(() => producer.tryClaim(0, 8), { message: /type=0 length=8/ });
  t.throws(() => producer.tryClaim(-1, 8), { message: /type=-1/ });
  t.throws(() => producer.tryClaim(2 ** 31, 8), RangeError);
  t.throws(() => producer.tryClaim(1, -1), RangeError);
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
  t.throws(() => producer.commitLength(index, 17), { message: /length=17 claimed=16/ });
  t.throws(() => producer.commitLength(index, -1), RangeError);
  producer.commit(index);
  t.throws(() => producer.commit(index), Error);
  t.throws(() => producer.abort(index), Error);
  producer.publish();
  t.throws(() => consumer.advance(), { message: /advance needs a record/ });
  consumer.poll();
  consumer.next();
  consumer.advance();
  t.throws(() => consumer.advance(), Error, "each advance has its next");
  t.throws(() => consumer.release(32), { message: /position=32 headPosition=0 readPosition=24/ });
  t.throws(() => consumer.release(-8), RangeError);
  t.throws(() => consumer.release(4), RangeError);
  t.throws(() => consumer.release(Number.NaN), RangeError);
  consumer.release();
  t.throws(() => consumer.release(0), RangeError, "what was given back cannot be taken again");
});

t.test("a record that somebody overwrote is not followed", async (t) => {
  for (const length of [0, 7, -8, 64, 2 ** 31 - 1]) {
    const { producer, consumer } = pair(1024);
    producer.write(1, Buffer.from("hello"));
    producer.publish();
    producer.words[0] = length;
    consumer.poll();
    t.throws(() => consumer.next(), { message: new RegExp(`damaged ring: record length=${length} index=0`) });
  }
});

t.test("what nobody can read any more is given back as a whole", async (t) => {
  const buffer = OneToOneRingBuffer.allocate(1024);
  const [producer, consumer] = [OneToOneRingBuffer.attach(buffer), OneToOneRingBuffer.attach(buffer)];
  for (let lap = 0; lap < 5; lap += 1) {
    for (let i = 0; i < 7; i += 1) producer.write(1, Buffer.alloc(100, lap));
    producer.publish();
    if (lap === 1) consumer.poll();
    consumer.bytes.fill(0xff);
    consumer.discard();
    t.equal(consumer.next(), -1);
    t.equal(consumer.headPosition, consumer.readPosition);
    t.equal(producer.freeSpace(), 1024);
  }
});
