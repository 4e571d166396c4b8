import t from "tap";
import { LATEST_WORD } from "../../src/broadcast/broadcast-layout.ts";
import { BroadcastReceiver, BroadcastTransmitter, CopyBroadcastReceiver } from "../../src/index.ts";

const TYPE = 7;

function payload(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 255);
}

/** All that there is to receive: sequences, with the payload's length behind a colon. */
function drain(receiver: BroadcastReceiver): string {
  const records: string[] = [];
  while (receiver.receiveNext()) records.push(`${receiver.sequence}:${receiver.length}`);
  return records.join(" ");
}

function transmitMany(transmitter: BroadcastTransmitter, count: number, length: number): void {
  for (let i = 0; i < count; i++) transmitter.transmit(TYPE, payload(length, i));
}

for (const startPosition of [0, 2 ** 31 - 496, 2 ** 32 - 496, 2 ** 45 - 496]) {
  t.test(`records of all lengths arrive in order and whole, from position ${startPosition} on`, async (t) => {
    const buffer = BroadcastTransmitter.allocate(1024, startPosition);
    const transmitter = BroadcastTransmitter.attach(buffer);
    const receivers = [BroadcastReceiver.attach(buffer), BroadcastReceiver.attach(buffer)];
    for (let length = 0; length <= transmitter.maxMessageLength; length++) {
      const sent = payload(length, length);
      transmitter.transmit(length + 1, sent);
      for (const receiver of receivers) {
        t.equal(receiver.receiveNext(), true);
        const { index, type, sequence } = receiver;
        const copy = Uint8Array.from(receiver.bytes.subarray(index, index + receiver.length));
        t.equal(receiver.validate(), true);
        t.same([type, sequence, index % 16], [length + 1, length, 0]);
        t.same(copy, sent);
        t.equal(receiver.receiveNext(), false);
        t.equal(receiver.sequence, length, "nothing to receive changes nothing");
      }
    }
    t.same(
      receivers.map((receiver) => [receiver.missedCount, receiver.lappedCount]),
      [
        [0, 0],
        [0, 0],
      ],
    );
    t.equal(transmitter.sequence, transmitter.maxMessageLength + 1);
  });
}

t.test("a receiver joins with the latest record, or with the first one to come", async (t) => {
  const buffer = BroadcastTransmitter.allocate(1024);
  const transmitter = BroadcastTransmitter.attach(buffer);
  const early = BroadcastReceiver.attach(buffer);
  t.equal(early.receiveNext(), false);
  t.equal(early.sequence, -1);
  transmitMany(transmitter, 5, 20);
  const late = BroadcastReceiver.attach(buffer);
  t.equal(drain(late), "4:20");
  t.equal(late.missedCount, 0, "what was before it joined is not missed");
  t.equal(drain(early), "0:20 1:20 2:20 3:20 4:20");
});

t.test("a lapped receiver goes on with the latest record, and knows what it missed", async (t) => {
  const buffer = BroadcastTransmitter.allocate(1024);
  const transmitter = BroadcastTransmitter.attach(buffer);
  const receiver = BroadcastReceiver.attach(buffer);
  transmitMany(transmitter, 2, 16);
  t.equal(receiver.receiveNext(), true);
  // 32 records of 32 bytes fill the buffer; with 33 more the second is overwritten.
  transmitMany(transmitter, 31, 16);
  t.equal(receiver.receiveNext(), true, "still there: the buffer holds exactly as much");
  t.same([receiver.sequence, receiver.lappedCount], [1, 0]);
  t.equal(receiver.validate(), true);
  transmitMany(transmitter, 1, 16);
  t.equal(receiver.validate(), false);
  t.equal(receiver.validate(), false);
  t.same([receiver.lappedCount, receiver.missedCount], [1, 0]);
  transmitMany(transmitter, 100, 16);
  t.equal(drain(receiver), "133:16");
  t.same(
    [receiver.lappedCount, receiver.missedCount],
    [1, 132],
    "one lap; what was invalid counts as missed",
  );
  transmitMany(transmitter, 40, 16);
  t.equal(drain(receiver), "173:16");
  t.same([receiver.lappedCount, receiver.missedCount], [2, 132 + 39]);
});

t.test("a record that is lost alone is missed, and the next one is received", async (t) => {
  const buffer = BroadcastTransmitter.allocate(1024);
  const transmitter = BroadcastTransmitter.attach(buffer);
  const receiver = BroadcastReceiver.attach(buffer);
  transmitMany(transmitter, 32, 16);
  t.equal(receiver.receiveNext(), true);
  transmitMany(transmitter, 1, 16);
  t.equal(receiver.validate(), false);
  t.equal(receiver.receiveNext(), true);
  t.same([receiver.sequence, receiver.validate(), receiver.missedCount], [1, true, 1]);
});

t.test("a receiver that was away while exactly 4 GiB passed notices", async (t) => {
  const buffer = BroadcastTransmitter.allocate(2 ** 20);
  const transmitter = BroadcastTransmitter.attach(buffer);
  const receiver = BroadcastReceiver.attach(buffer);
  transmitMany(transmitter, 1, 100);
  const length = transmitter.maxMessageLength;
  const records = 2 ** 32 / (length + 16);
  t.equal(records, 2 ** 15);
  for (let i = 0; i < records; i++) transmitter.commit(transmitter.claim(TYPE, length));
  t.equal(drain(receiver), `${records}:${length}`);
  t.same([receiver.lappedCount, receiver.missedCount], [1, records]);
});

t.test("the copying receiver tells of laps before the record that follows", async (t) => {
  const buffer = BroadcastTransmitter.allocate(1024);
  const transmitter = BroadcastTransmitter.attach(buffer);
  const log: string[] = [];
  const receiver = CopyBroadcastReceiver.attach(buffer, (missed) => log.push(`missed ${missed}`));
  const receive = (limit?: number): number =>
    receiver.receive((type, bytes, length) => {
      t.equal(type, TYPE);
      log.push(`${receiver.sequence}:${length}:${bytes[0]}`);
    }, limit);
  t.equal(receive(), 0);
  for (let i = 0; i < 4; i++) transmitter.transmit(TYPE, payload(3, i));
  t.equal(receive(), 1);
  t.equal(receive(2), 2);
  t.equal(receive(100), 1);
  t.same(log, ["0:3:0", "1:3:1", "2:3:2", "3:3:3"]);
  log.length = 0;
  transmitMany(transmitter, 60, 16);
  t.equal(receive(100), 1);
  t.same(log, ["missed 59", "63:16:59"]);
  t.same([receiver.missedCount, receiver.lappedCount], [59, 1]);
});

t.test("the copying receiver's handler may keep nothing, but what it gets is its own", async (t) => {
  const buffer = BroadcastTransmitter.allocate(1024);
  const transmitter = BroadcastTransmitter.attach(buffer);
  const receiver = CopyBroadcastReceiver.attach(buffer);
  transmitter.transmit(TYPE, payload(10, 1));
  receiver.receive((_type, bytes) => {
    t.equal(bytes.buffer instanceof ArrayBuffer, true);
    transmitMany(transmitter, 200, 10);
    t.same(Uint8Array.from(bytes.subarray(0, 10)), payload(10, 1), "whatever the transmitter does meanwhile");
  });
});

t.test(
  "a record overwritten while it is copied is tried, counted as missed, and not handed over",
  async (t) => {
    const buffer = BroadcastTransmitter.allocate(1024);
    const transmitter = BroadcastTransmitter.attach(buffer);
    const missed: number[] = [];
    const copying = CopyBroadcastReceiver.attach(buffer, (count) => missed.push(count));
    transmitMany(transmitter, 3, 8);
    const inner = Reflect.get(copying, "receiver") as BroadcastReceiver;
    const bytes = inner.bytes;
    let overwrite = true;
    Object.defineProperty(inner, "bytes", {
      get: () => {
        if (overwrite) transmitMany(transmitter, 40, 8);
        overwrite = false;
        return bytes;
      },
    });
    const sequences: number[] = [];
    const handler = (): number => sequences.push(copying.sequence);
    t.equal(copying.receive(handler), 1, "something was there: nobody may sleep now");
    t.same(sequences, []);
    t.equal(copying.receive(handler, 10), 1);
    t.equal(copying.receive(handler, 10), 0);
    t.same([sequences, missed], [[42], [42]]);
    t.equal(copying.lappedCount, 1);
  },
);

t.test("a record whose handler throws counts as received", async (t) => {
  const buffer = BroadcastTransmitter.allocate(1024);
  const transmitter = BroadcastTransmitter.attach(buffer);
  const receiver = CopyBroadcastReceiver.attach(buffer);
  transmitMany(transmitter, 2, 8);
  const fail = (): void => {
    throw new Error("handler");
  };
  t.throws(() => receiver.receive(fail, 10), { message: "handler" });
  const sequences: number[] = [];
  t.equal(
    receiver.receive(() => sequences.push(receiver.sequence), 10),
    1,
  );
  t.same([sequences, receiver.missedCount], [[1], 0]);
});

t.test("an aborted claim leaves no record, but what it overwrote is gone", async (t) => {
  const buffer = BroadcastTransmitter.allocate(1024);
  const transmitter = BroadcastTransmitter.attach(buffer);
  const receiver = BroadcastReceiver.attach(buffer);
  transmitMany(transmitter, 32, 16);
  t.equal(receiver.receiveNext(), true);
  transmitter.abort(transmitter.claim(TYPE, 112));
  t.equal(receiver.validate(), false);
  t.equal(receiver.receiveNext(), false, "at the latest, which is the claim that was aborted");
  t.equal(receiver.lappedCount, 1);
  transmitter.transmit(TYPE, payload(1, 1));
  t.equal(drain(receiver), "32:1");
  t.equal(receiver.missedCount, 32);
  for (let i = 0; i < 100; i++) {
    transmitter.abort(transmitter.claim(TYPE, i % 113));
    if (i % 9 === 0) t.equal(drain(receiver), "");
  }
  const late = BroadcastReceiver.attach(buffer);
  transmitter.transmit(TYPE, payload(1, 1));
  t.equal(drain(receiver), "33:1");
  t.equal(drain(late), "33:1");
  t.same([receiver.missedCount, late.missedCount], [32, 0]);
});

for (const startPosition of [0, 1024 - 96, 2 ** 32 - 96]) {
  for (const [length, stage] of [
    [40, "a claim"],
    [100, "a claim that wraps"],
    [40, "latest"],
    [100, "latest after a wrap"],
  ] as const) {
    for (const before of [0, 1, 40]) {
      const name = `from ${startPosition}, ${before} records, then the end inside ${stage}`;
      t.test(`another transmitter takes over: ${name}`, async (t) => {
        const buffer = BroadcastTransmitter.allocate(1024, startPosition);
        const first = BroadcastTransmitter.attach(buffer);
        const receiver = BroadcastReceiver.attach(buffer);
        const stale = BroadcastReceiver.attach(buffer);
        for (let i = 0; i < before; i++) {
          transmitMany(first, 1, 10);
          drain(receiver);
        }
        const index = first.claim(TYPE, length);
        first.bytes.fill(255, index, index + length);
        if (stage.startsWith("latest")) {
          const { store } = Atomics;
          Object.assign(Atomics, {
            store: (words: Int32Array, word: number, value: number) => {
              if (word > LATEST_WORD || word < LATEST_WORD) throw new Error("terminated");
              return store(words, word, value);
            },
          });
          try {
            t.throws(() => first.commit(index), { message: "terminated" });
          } finally {
            Object.assign(Atomics, { store });
          }
        }
        const between = BroadcastReceiver.attach(buffer);
        const second = BroadcastTransmitter.attach(buffer);
        t.equal(second.sequence, before);
        const late = BroadcastReceiver.attach(buffer);
        t.equal(drain(receiver), "");
        transmitMany(second, 2, 10);
        for (const one of [receiver, late]) {
          t.equal(drain(one), `${before}:10 ${before + 1}:10`);
          t.equal(one.missedCount, 0);
        }
        t.match(drain(between), new RegExp(`${before}:10 ${before + 1}:10$`));
        t.equal(between.missedCount, 0);
        drain(stale);
        t.equal(stale.sequence, before + 1);
      });
    }
  }
}

t.test("a second transmitter is found out", async (t) => {
  const buffer = BroadcastTransmitter.allocate(1024);
  const first = BroadcastTransmitter.attach(buffer);
  BroadcastTransmitter.attach(buffer);
  const { store } = Atomics;
  // The other one's intent comes between this one's store and its load.
  Object.assign(Atomics, {
    store: (words: Int32Array, word: number, value: number) =>
      store(words, word, value) + store(words, word, value + 16),
  });
  try {
    t.throws(() => first.claim(TYPE, 1), { message: /another instance transmits.*: intent=48 expected=32/ });
  } finally {
    Object.assign(Atomics, { store });
  }
});

t.test("misuse is refused with the values", async (t) => {
  const transmitter = BroadcastTransmitter.attach(BroadcastTransmitter.allocate(1024));
  for (const type of [0, -1, 1.5, 2 ** 31]) t.throws(() => transmitter.claim(type, 1), { message: /type=/ });
  for (const length of [-1, 113, 0.5]) {
    t.throws(() => transmitter.claim(TYPE, length), {
      message: new RegExp(`0 to 112 bytes.*length=${length}`),
    });
  }
  t.throws(() => transmitter.transmit(TYPE, new Uint8Array(113)), { name: "RangeError" });
  t.throws(() => transmitter.commit(16), { message: /index=16 open=none/ });
  t.throws(() => transmitter.commit(-1), { message: /index=-1 open=none/ });
  t.throws(() => transmitter.abort(-1), { message: /index=-1 open=none/ });
  const index = transmitter.claim(TYPE, 1);
  t.throws(() => transmitter.claim(TYPE, 1), { message: /committed or aborted/ });
  t.throws(() => transmitter.abort(index + 16), { message: /index=32 open=16/ });
  transmitter.commit(index);
  t.throws(() => transmitter.commit(index), { message: /open=none/ });
});

t.test("impossible records are refused with the values", async (t) => {
  const damage = (word: number, value: number): BroadcastReceiver => {
    const buffer = BroadcastTransmitter.allocate(1024);
    const transmitter = BroadcastTransmitter.attach(buffer);
    const receiver = BroadcastReceiver.attach(buffer);
    transmitMany(transmitter, 2, 8);
    receiver.receiveNext();
    transmitter.words[8 + word] = value;
    return receiver;
  };
  for (const length of [0, 15, -16, 1024]) {
    t.throws(() => damage(0, length).receiveNext(), { message: new RegExp(`position=32 length=${length}`) });
  }
  t.throws(() => damage(2, 0).receiveNext(), { message: /sequence=0 expected=1/ });
});
