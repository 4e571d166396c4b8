import t from "tap";
import {
  ControlledAction,
  type ControlledMessageHandler,
  ManyToOneRingBuffer,
  OneToOneRingBuffer,
  type RingBuffer,
} from "../../src/index.ts";

const { ABORT, BREAK, COMMIT, CONTINUE } = ControlledAction;

const RINGS: readonly (typeof OneToOneRingBuffer | typeof ManyToOneRingBuffer)[] = [
  OneToOneRingBuffer,
  ManyToOneRingBuffer,
];

/** A ring with the records "1" to "5", of 16 bytes each, starting where the data region ends. */
function filled(Ring: (typeof RINGS)[number]): { producer: RingBuffer; consumer: RingBuffer } {
  const buffer = Ring.allocate(256, 2 ** 35 - 24);
  const producer = Ring.attach(buffer);
  for (const text of ["1", "2", "3", "4", "5"]) producer.write(1, Buffer.from(text));
  producer.publish();
  return { producer, consumer: Ring.attach(buffer) };
}

for (const Ring of RINGS) {
  t.test(Ring.name, async (t) => {
    const textAt = (ring: RingBuffer, index: number): string =>
      String.fromCharCode(ring.bytes[index] as number);

    /** Answers with the given actions in turn, then CONTINUE. */
    function answering(
      ring: RingBuffer,
      actions: readonly ControlledAction[],
      seen: string[],
    ): ControlledMessageHandler {
      return (_type, index) => {
        seen.push(textAt(ring, index));
        return actions[seen.length - 1] ?? CONTINUE;
      };
    }

    function rest(ring: RingBuffer): string {
      let text = "";
      ring.read((_type, index) => {
        text += textAt(ring, index);
      });
      return text;
    }

    t.test("CONTINUE reads all", async (t) => {
      const { consumer } = filled(Ring);
      const seen: string[] = [];
      t.equal(consumer.controlledRead(answering(consumer, [], seen)), 5);
      t.same(seen, ["1", "2", "3", "4", "5"]);
      t.equal(consumer.size(), 0);
    });

    t.test("ABORT leaves the record for the next read", async (t) => {
      const { consumer } = filled(Ring);
      const seen: string[] = [];
      t.equal(consumer.controlledRead(answering(consumer, [CONTINUE, ABORT], seen)), 1);
      t.same(seen, ["1", "2"]);
      t.equal(consumer.controlledRead(answering(consumer, [ABORT], [])), 0, "again and again");
      t.equal(rest(consumer), "2345");
    });

    t.test("ABORT at the first record behind padding", async (t) => {
      const { consumer } = filled(Ring);
      t.equal(rest(consumer).length, 5);
      const producer = Ring.attach(consumer.buffer);
      for (let lap = 0; lap < 20; lap++) {
        producer.write(1, Buffer.alloc(16, 0x61 + lap));
        producer.publish();
        t.equal(
          consumer.controlledRead(() => ABORT),
          0,
        );
        t.equal(rest(consumer), String.fromCharCode(0x61 + lap));
        t.equal(consumer.size(), 0);
      }
    });

    t.test("BREAK reads the record and stops", async (t) => {
      const { consumer } = filled(Ring);
      t.equal(consumer.controlledRead(answering(consumer, [CONTINUE, BREAK], [])), 2);
      t.equal(rest(consumer), "345");
    });

    t.test("COMMIT gives space back at once, CONTINUE at the end", async (t) => {
      const { producer, consumer } = filled(Ring);
      const used: number[] = [];
      const actions = [CONTINUE, COMMIT, CONTINUE, CONTINUE, COMMIT];
      consumer.controlledRead(() => {
        used.push(producer.size());
        return actions[used.length - 1] as ControlledAction;
      });
      const all = used[0] as number;
      t.same(used, [all, all, 48, 48, 48]);
      t.equal(producer.size(), 0);
    });

    t.test("the limit counts records", async (t) => {
      const { consumer } = filled(Ring);
      t.equal(
        consumer.controlledRead(() => CONTINUE, 0),
        0,
      );
      t.equal(
        consumer.controlledRead(() => CONTINUE, 2),
        2,
      );
      t.equal(rest(consumer), "345");
    });

    t.test("a record whose handler throws, or answers nonsense, is read", async (t) => {
      const { consumer } = filled(Ring);
      let count = 0;
      t.throws(
        () =>
          consumer.controlledRead(() => {
            if (++count === 2) throw new Error("no");
            return CONTINUE;
          }),
        { message: "no" },
      );
      t.throws(() => consumer.controlledRead((() => undefined) as unknown as ControlledMessageHandler), {
        name: "TypeError",
        message: /action=undefined/,
      });
      t.equal(rest(consumer), "45");
      t.equal(consumer.size(), 0);
    });
  });
}
