import t from "tap";
import { describeChannel } from "../../src/channel/channel-descriptor.ts";
import { CHANNEL_BYTES, CLOSED, stateWord, wantedWord } from "../../src/channel/channel-layout.ts";
import {
  CHANNEL_CLOSED,
  Channel,
  type ChannelDescriptor,
  type CloseReason,
  INSUFFICIENT_CAPACITY,
} from "../../src/index.ts";
import { CORE_LIMITS } from "../../src/limits.ts";
import {
  LINE_BYTES,
  SHARED_VERSION,
  SharedKind,
  VERSION_WORD,
  writeHeader,
} from "../../src/shared-header.ts";

const CAPACITY = 1024;

function pair(capacityBytes: number = CAPACITY): { local: Channel; remote: Channel } {
  const { local, remote } = Channel.create({ capacityBytes });
  return { local, remote: Channel.connect(remote) };
}

/** The payloads of everything that has come, each read as one number. */
function readAll(channel: Channel): number[] {
  const numbers: number[] = [];
  channel.read((_type, index) => numbers.push(channel.inbound.words[index >> 2] as number));
  return numbers;
}

function write(channel: Channel, value: number): number {
  const index = channel.tryClaim(1, 4);
  if (index < 0) return index;
  channel.outbound.words[index >> 2] = value;
  channel.commit(index);
  return index;
}

function reasonOf(channel: Channel): Promise<CloseReason> {
  return new Promise((resolve) => channel.onClose(resolve));
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test("what each side writes is on lines of its own", async (t) => {
  const words = [stateWord(0), stateWord(1), wantedWord(0), wantedWord(1)];
  for (const word of words) t.equal((word * 4) % LINE_BYTES, 0);
  t.equal(new Set([0, ...words]).size, 5);
  t.equal(Math.max(...words) * 4 + LINE_BYTES, CHANNEL_BYTES);
});

t.test("records go both ways, and what was written before the other end connected is there", async (t) => {
  const { local, remote: descriptor } = Channel.create({ capacityBytes: CAPACITY });
  t.equal(local.isConnected, false);
  t.equal(local.maxMessageLength, CAPACITY / 8 - 8);
  write(local, 1);
  t.equal(local.flush(), true);
  t.equal(local.flush(), false, "nothing more");
  const remote = Channel.connect(descriptor);
  t.ok(remote.isConnected && local.isConnected);
  await Promise.all([local.connected, remote.connected]);
  t.same(readAll(remote), [1]);
  write(remote, 2);
  t.same(readAll(local), [], "not flushed");
  remote.flush();
  t.same(readAll(local), [2]);

  const index = local.tryClaim(7, 8);
  local.commitLength(index, 4);
  local.abort(local.tryClaim(8, 8));
  t.ok(local.write(9, Uint8Array.of(1, 2, 3)) >= 0);
  local.flush();
  const seen: [number, number][] = [];
  remote.read((type, _index, length) => seen.push([type, length]), 1);
  remote.read((type, _index, length) => seen.push([type, length]));
  t.same(seen, [
    [7, 4],
    [9, 3],
  ]);
  local.close();
});

t.test("a full ring answers so, has flushed itself, and says when there is space again", async (t) => {
  const { local, remote } = pair();
  let written = 0;
  while (write(local, written) >= 0) written++;
  t.equal(write(local, 0), INSUFFICIENT_CAPACITY);
  t.equal(local.waitForSpace(0), false);
  let free: boolean | undefined;
  const promise = local.whenSpace().then((value) => {
    free = value;
  });
  await turn();
  await turn();
  t.equal(free, undefined);
  t.throws(() => local.wait(0), /must not block/, "its event loop is in use");
  t.equal(
    remote.read(() => {}, 2),
    2,
  );
  await turn();
  t.equal(free, undefined, "two records are no quarter of the ring");
  t.equal(readAll(remote).length, written - 2);
  await promise;
  t.equal(free, true);
  t.equal(await local.whenSpace(), true, "at once");
  t.equal(local.waitForSpace(0, 4), true);
  t.throws(() => local.waitForSpace(0, CAPACITY / 8), RangeError);
  t.throws(() => local.whenSpace(-1), RangeError);
  t.throws(() => local.wait(Number.NaN), RangeError);
  while (write(local, 0) >= 0);
  const never = local.whenSpace();
  remote.close();
  t.equal(await never, false);
  t.equal(write(local, 0), CHANNEL_CLOSED);
  t.equal(local.waitForSpace(), false);
  t.equal(await local.whenSpace(), false);
});

t.test("onRecords hands over in bounded goes, flushes after each, and can be ended", async (t) => {
  const { local, remote } = pair(16_384);
  for (let i = 0; i < 100; i++) write(remote, i);
  remote.flush();
  const seen: number[] = [];
  const perTurn: number[] = [];
  const stop = local.onRecords(
    (_type, index) => {
      seen.push(local.inbound.words[index >> 2] as number);
      write(local, seen.length);
      if (seen.length === 95) stop();
    },
    { limit: 10 },
  );
  t.throws(() => local.onRecords(() => {}), /another handler/);
  t.throws(() => local.onRecords(() => {}, { limit: 0 }), RangeError);
  t.throws(() => local.wait(0), /must not block/);
  for (let before = -1; seen.length > before || before < 1; ) {
    before = seen.length;
    await turn();
    perTurn.push(seen.length - before);
  }
  t.ok(Math.max(...perTurn) <= 10, `${perTurn}`);
  t.equal(seen.length, 95);
  t.equal(readAll(remote).length, 95, "the answers were flushed");
  t.same(readAll(local), [95, 96, 97, 98, 99], "another reader");

  const later: number[] = [];
  local.onRecords((_type, index) => later.push(local.inbound.words[index >> 2] as number));
  await turn();
  write(remote, 7);
  remote.flush();
  for (let i = 0; i < 100 && later.length === 0; i++) await turn();
  t.same(later, [7], "woken by a poke");
  remote.close();
  t.equal(await reasonOf(local), "remote");
});

t.test("a handler that throws has read its record, and the rest goes on", async (t) => {
  const { local, remote } = pair();
  for (let i = 0; i < 4; i++) write(remote, i);
  remote.flush();
  t.throws(
    () =>
      local.read(() => {
        throw new Error("first");
      }),
    /first/,
  );
  const errors: unknown[] = [];
  const seen: number[] = [];
  local.onRecords(
    (_type, index) => {
      const value = local.inbound.words[index >> 2] as number;
      if (value === 2) throw new Error("second");
      seen.push(value);
    },
    { onError: (error) => errors.push(error) },
  );
  for (let i = 0; i < 100 && seen.length < 2; i++) await turn();
  t.same(seen, [1, 3]);
  t.match(errors, [{ message: "second" }]);
  write(remote, 5);
  remote.flush();
  local.close();
  t.equal(await reasonOf(local), "local");
  await turn();
  t.same(seen, [1, 3], "nothing after close");
});

t.test("a handler must not read, but may close", async (t) => {
  const { local, remote } = pair();
  for (let i = 0; i < 3; i++) write(remote, i);
  remote.flush();
  t.throws(() => local.read(() => local.read(() => {})), /must not read/);
  let seen = 0;
  const count = local.read(() => {
    seen++;
    local.close();
    t.equal(local.closed, true);
  });
  t.same([count, seen], [1, 1]);
  t.equal(
    local.read(() => t.fail("closed")),
    0,
  );
});

t.test("close: the other end reads what was flushed, and is closed then", async (t) => {
  const { local, remote } = pair();
  write(local, 1);
  write(local, 2);
  const reasons = Promise.all([reasonOf(local), reasonOf(remote)]);
  local.close();
  local.close();
  t.equal(local.closed, true);
  t.equal(write(local, 3), CHANNEL_CLOSED);
  t.equal(local.write(1, new Uint8Array(1)), CHANNEL_CLOSED);
  t.equal(local.flush(), false);
  t.equal(local.wait(), false);
  t.equal(remote.closed, false, "there is something to read");
  t.equal(remote.wait(), true);
  t.equal(write(remote, 3), CHANNEL_CLOSED, "nobody would read it");
  t.same(readAll(remote), [1, 2]);
  t.equal(remote.wait(), false);
  t.equal(remote.closed, true);
  t.equal(remote.isConnected, false);
  t.same(await reasons, ["local", "remote"]);
  t.equal(await reasonOf(remote), "remote", "told however late");
});

t.test("connected rejects where nobody can come any more", async (t) => {
  const { local } = Channel.create({ capacityBytes: CAPACITY });
  const waiting = local.connected;
  local.close();
  await t.rejects(waiting, /before its other end/);
  await t.rejects(local.connected, /before its other end/);
  const { local: lonely, remote } = Channel.create();
  t.equal(lonely.inbound.capacity, CORE_LIMITS.channelCapacityBytes);
  const lost = reasonOf(lonely);
  const rejected = t.rejects(lonely.connected, /before its other end/);
  remote.port.close();
  t.equal(await lost, "lost");
  await rejected;
});

t.test("an end whose peer was gone before it came is closed", async (t) => {
  // An end that only listens for the end keeps no loop alive.
  const hold = setInterval(() => {}, 1000);
  t.teardown(() => clearInterval(hold));
  for (const way of ["listens", "blocks"]) {
    const { local, remote } = Channel.create({ capacityBytes: CAPACITY });
    write(local, 1);
    local.close();
    await turn();
    const late = Channel.connect(remote);
    t.equal(late.wait(), true);
    t.same(readAll(late), [1], "what was flushed is there");
    if (way === "listens") t.equal(await reasonOf(late), "remote");
    else t.equal(late.wait(), false);
    t.equal(late.closed, true);

    const [mine, theirs] = Channel.allocate({ capacityBytes: CAPACITY });
    theirs.port.close();
    await turn();
    await turn();
    const alone = Channel.connect(mine);
    if (way === "listens") t.equal(await reasonOf(alone), "lost");
    else t.equal(alone.wait(), false);
    t.equal(alone.closed, true);
    await t.rejects(alone.connected, /before its other end/);
  }
});

t.test("what is no descriptor is refused, and says why", async (t) => {
  const refused = (
    change: Partial<Record<keyof ChannelDescriptor, unknown>>,
    error: RegExp | object,
  ): void => {
    const [one, other] = describeChannel({ capacityBytes: CAPACITY });
    let thrown: unknown;
    try {
      Channel.connect({ ...one, ...change } as ChannelDescriptor);
    } catch (refusal) {
      thrown = refusal;
    }
    t.match(thrown, error);
    t.equal(Channel.connect(one).isConnected, false, "the refusal has taken nothing");
    one.port.close();
    other.port.close();
  };
  t.throws(() => Channel.connect(undefined as unknown as ChannelDescriptor), TypeError);
  refused({ control: new SharedArrayBuffer(CHANNEL_BYTES) }, { name: "TypeError", message: /not a channel/ });
  refused({ control: undefined }, { name: "TypeError", message: /needs a SharedArrayBuffer/ });
  refused({ port: undefined }, { name: "TypeError", message: /transfer list/ });
  refused({ side: 2 }, { name: "TypeError", message: /side=2/ });
  refused({ rings: undefined }, { name: "TypeError", message: /not a channel descriptor/ });
  const [stranger] = describeChannel({ capacityBytes: 2 * CAPACITY });
  refused({ rings: stranger.rings }, { name: "RangeError", message: /rings of another channel/ });
  refused({ rings: stranger.bells }, { name: "TypeError", message: /not a one-to-one ring/ });
  refused({ bells: stranger.rings }, { name: "TypeError", message: /not a doorbell/ });
  stranger.port.close();
  const cut = new SharedArrayBuffer(CHANNEL_BYTES - 8);
  writeHeader(cut, SharedKind.CHANNEL, CAPACITY);
  refused({ control: cut }, { name: "RangeError", message: /byteLength/ });
  const newer = new SharedArrayBuffer(CHANNEL_BYTES);
  writeHeader(newer, SharedKind.CHANNEL, CAPACITY);
  new Int32Array(newer)[VERSION_WORD] = SHARED_VERSION + 1;
  refused({ control: newer }, { name: "TypeError", message: /version=2 expected=1/ });
  t.throws(() => Channel.create({ capacityBytes: 1000 }), RangeError);
});

t.test("an end keeps its loop alive while it has something to wait for", async (t) => {
  const [mine, theirs] = describeChannel({ capacityBytes: CAPACITY });
  // Newer than the types of the oldest Node.
  const port = mine.port as unknown as { hasRef(): boolean };
  const channel = Channel.connect(mine);
  t.equal(port.hasRef(), false, "by itself it keeps nothing");
  const stop = channel.onRecords(() => {});
  t.equal(port.hasRef(), true);
  channel.unref();
  t.equal(port.hasRef(), false);
  channel.ref();
  t.equal(port.hasRef(), true);
  stop();
  t.equal(port.hasRef(), false);
  const connected = channel.connected;
  t.equal(port.hasRef(), true);
  const peer = Channel.connect(theirs);
  await connected;
  await turn();
  t.equal(port.hasRef(), false);
  while (write(channel, 0) >= 0);
  const space = channel.whenSpace();
  t.equal(port.hasRef(), true);
  readAll(peer);
  await space;
  await turn();
  t.equal(port.hasRef(), false);
  channel.close();
});

t.test("a descriptor connects once", async (t) => {
  const [one] = describeChannel({ capacityBytes: CAPACITY });
  const channel = Channel.connect(one);
  t.throws(() => Channel.connect(one), /has been connected before: side=0 state=1/);
  channel.close();
  t.equal(Atomics.load(new Int32Array(one.control), stateWord(0)), CLOSED);
  t.throws(() => Channel.connect(one), /has been connected before: side=0 state=2/);
});
