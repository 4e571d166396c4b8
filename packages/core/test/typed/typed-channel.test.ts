import t from "tap";
import { Channel } from "../../src/index.ts";
import { messagePackCodec } from "../../src/messagepack/index.ts";
import { type Codec, jsonCodec, TypedChannel } from "../../src/typed/index.ts";

interface Order {
  id: number;
  name: string;
  tags?: string[];
}

function pair<T>(
  codec: () => Codec<T>,
  capacityBytes = 4096,
): [TypedChannel<T, T>, TypedChannel<T, T>, unknown[]] {
  const { local, remote } = Channel.create({ capacityBytes });
  const errors: unknown[] = [];
  const onError = (error: unknown): void => {
    errors.push(error);
  };
  return [
    new TypedChannel<T, T>(local, { send: codec(), receive: codec(), onError }),
    new TypedChannel<T, T>(Channel.connect(remote), { send: codec(), receive: codec(), onError }),
    errors,
  ];
}

function readAll<T>(channel: TypedChannel<unknown, T>): T[] {
  const values: T[] = [];
  channel.read((value) => values.push(value));
  return values;
}

const ORDERS: readonly Order[] = [
  { id: 1, name: "plain" },
  { id: -2.5, name: "Grüße, 世界 🎉", tags: ["a", ""] },
  { id: 0, name: "x".repeat(400), tags: [] },
];

for (const [name, codec] of [
  ["JSON", () => jsonCodec<Order>()],
  ["MessagePack", () => messagePackCodec<Order>()],
] as const) {
  t.test(`${name}: values arrive as they were sent`, async (t) => {
    const [here, there, errors] = pair<Order>(codec, 65_536);
    for (const order of ORDERS) t.equal(here.send(order), true);
    t.same(readAll(there), [], "not flushed");
    t.equal(here.flush(), true);
    t.same(readAll(there), ORDERS);
    const seen: Order[] = [];
    const arrived = new Promise<void>((resolve) => {
      const stop = here.onMessage((order) => {
        if (seen.push(order) < ORDERS.length) return;
        stop();
        resolve();
      });
    });
    for (const order of ORDERS) there.send(order);
    there.flush();
    await arrived;
    t.same(seen, ORDERS);
    t.same(errors, []);
    here.channel.close();
    t.equal(here.send({ id: 1, name: "" }), false);
  });

  t.test(`${name}: a value that does not fit is refused with the sizes`, async (t) => {
    const [here, there] = pair<Order>(codec);
    const most = here.channel.maxMessageLength;
    const name = "x".repeat(most);
    const bytes = codec().encode({ id: 1, name }).length;
    t.throws(() => here.send({ id: 1, name }), {
      name: "RangeError",
      message: `the value does not fit into a record: bytes=${bytes} maxMessageLength=${most} capacity=4096`,
    });
    here.send({ id: 2, name: "y".repeat(most - (bytes - most)) });
    here.flush();
    t.equal(readAll(there)[0]?.id, 2, "the longest fits, and the refusal has left nothing behind");
    here.channel.close();
  });

  t.test(`${name}: bytes that are no value are reported, and the rest goes on`, async (t) => {
    const [here, there, errors] = pair<Order>(codec);
    here.send({ id: 1, name: "before" });
    here.channel.write(1, Uint8Array.of(0xc1, 0xff, 0x7b));
    here.channel.write(1, new Uint8Array(0));
    here.channel.write(2, Uint8Array.of(1));
    here.send({ id: 2, name: "after" });
    here.flush();
    let ids: number[] = [];
    t.equal(
      there.read((order) => ids.push(order.id)),
      5,
    );
    t.same(ids, [1, 2]);
    t.equal(errors.length, 3);
    t.match(errors[2], { message: /not a value: type=2/ });

    errors.length = 0;
    ids = [];
    for (let id = 1; id <= 3; id++) here.send({ id, name: "" });
    here.channel.write(1, Uint8Array.of(0xc1, 0xff, 0x7b));
    here.send({ id: 4, name: "" });
    const all = new Promise<void>((resolve) => {
      there.onMessage((order) => {
        ids.push(order.id);
        if (order.id === 2) throw new Error("handler");
        if (order.id === 4) resolve();
      });
    });
    here.flush();
    await all;
    t.same(ids, [1, 2, 3, 4]);
    t.equal(errors.length, 2);
    t.match(
      errors.map((error) => (error as Error).message),
      /handler/,
    );
    here.channel.close();
  });

  t.test(`${name}: a full ring takes nothing, until there is space`, async (t) => {
    const [here, there] = pair<Order>(codec, 1024);
    let sent = 0;
    while (here.send({ id: sent, name: "n" })) sent++;
    t.equal(readAll(there).length, sent);
    t.equal(await here.channel.whenSpace(), true);
    t.equal(here.send({ id: sent, name: "n" }), true);
    here.channel.close();
  });
}

t.test("a handler of read that throws reaches the caller, its value counts as read", async (t) => {
  const [here, there, errors] = pair<number>(() => jsonCodec<number>());
  here.send(1);
  here.send(2);
  here.flush();
  t.throws(
    () =>
      there.read(() => {
        throw new Error("handler");
      }),
    /handler/,
  );
  t.same(readAll(there), [2]);
  t.same(errors, []);
  here.channel.close();
});

t.test("JSON refuses what it has no text for, and keeps a surrogate alone", async (t) => {
  const codec = jsonCodec<unknown>();
  t.throws(() => codec.encode(undefined), { name: "TypeError", message: "JSON has no undefined" });
  t.throws(() => codec.encode(() => {}), { name: "TypeError", message: "JSON has no function" });
  for (const value of ["\ud800", "\u2028".repeat(5000), null, [], 1e300]) {
    const bytes = codec.encode(value);
    const source = Buffer.alloc(bytes.length + 3, 0x7b);
    source.set(bytes);
    t.same(codec.decode(source, bytes.length), value);
  }
});

t.test("what is decoded aliases neither shared memory nor what is decoded next", async (t) => {
  const [here, there] = pair<Uint8Array>(() => messagePackCodec<Uint8Array>());
  for (const fill of [1, 2]) here.send(new Uint8Array(100).fill(fill));
  here.flush();
  const [one, two] = readAll(there);
  t.same([...(one ?? [])], new Array(100).fill(1), "not overwritten by the second");
  for (const bytes of [one, two]) t.notOk(bytes?.buffer instanceof SharedArrayBuffer);
  here.channel.close();
});
