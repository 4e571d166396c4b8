// Runs against one process: what a shard thread writes and syncs does not depend on the process around it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DURABILITY, decodeFrame, FrameReader } from "@millrace/protocol";
import t, { type Test } from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { publishFrame, RawClient } from "../harness/raw-client.ts";
import { straceArguments, whyNoStrace } from "../harness/strace.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";
import { recordValue } from "../harness/test-records.ts";
import { until } from "../harness/waiting.ts";

/** A system call; `begin` and `end` are lines of the trace, which strace writes in the order that it saw. */
interface TracedCall {
  readonly name: string;
  /** File of the descriptor. */
  readonly path: string;
  readonly bytes: Buffer;
  readonly begin: number;
  readonly end: number;
  readonly result: number;
}

const WRITES = ["write", "writev", "pwrite64", "pwritev"];
const SENDS = ["write", "writev", "sendto", "sendmsg"];
const SYNCS = ["fdatasync", "fsync"];
const CALLS = [...new Set([...WRITES, ...SENDS, ...SYNCS])];
const FIRST_PRODUCER_ID = 1000;

const skip = whyNoStrace(t) ?? false;

t.test("each ack follows a sync that began after its batch was written", { skip }, async (t) => {
  await publishTraced(t, { clients: 1, publishes: 40 });
});

t.test("so it does where batches of several clients share syncs", { skip }, async (t) => {
  await publishTraced(t, { clients: 6, publishes: 20 });
});

async function publishTraced(t: Test, load: { clients: number; publishes: number }): Promise<void> {
  const output = join(temporaryFolder(t), "trace");
  const broker = await BrokerProcess.start(t, {
    dataDir: temporaryFolder(t),
    args: ["--shards", "2"],
    wrapper: straceArguments(output, CALLS, "-y", "-xx", "-s", "4096"),
  });
  const admin = await RawClient.connect(t, broker.url);
  const { topicId } = await admin.createTopic("traced", { partitions: 3, durability: "fsynced" });
  const clients = await Promise.all(
    Array.from({ length: load.clients }, () => RawClient.connect(t, broker.url)),
  );
  await Promise.all(
    clients.map(async (client, i) => {
      for (let sequence = 0; sequence < load.publishes; sequence += 1) {
        const value = recordValue(producerName(i), sequence, 200);
        const producerId = FIRST_PRODUCER_ID + i;
        await client.publish(
          publishFrame({ topicId, partition: i % 3, producerId, sequence, records: [{ value }] }),
        );
        const { ranges } = await client.next("ACK");
        const durability = ranges[0]?.durability;
        if (durability !== DURABILITY.fsynced) throw new Error(`acknowledged with durability ${durability}`);
      }
    }),
  );
  // strace may be behind with what it writes; lines come in order, so with the last ack all that matters is there.
  const expected = load.clients * load.publishes;
  await until(() => acksOf(callsOf(readFileSync(output, "utf8"))).size === expected, "all acks are traced");
  const calls = callsOf(readFileSync(output, "utf8"));
  t.same(problemsOf(calls, load), []);
  const syncs = calls.filter(({ name }) => SYNCS.includes(name)).length;
  t.comment(`${expected} acks, ${syncs} syncs`);

  const withoutSyncs = calls.filter(({ name }) => !SYNCS.includes(name));
  t.equal(problemsOf(withoutSyncs, load).length, expected, "a trace without syncs would not pass");
  t.equal((await broker.stop()).code, 0);
}

function producerName(client: number): string {
  return `traced-${client}`;
}

/** What is wrong, one line a publish. */
function problemsOf(calls: readonly TracedCall[], load: { clients: number; publishes: number }): string[] {
  const acks = acksOf(calls);
  const writes = calls.filter(({ name, path }) => WRITES.includes(name) && path.endsWith(".log"));
  const syncs = calls.filter(({ name, result }) => SYNCS.includes(name) && result === 0);
  const problems: string[] = [];
  for (let i = 0; i < load.clients; i += 1) {
    for (let sequence = 0; sequence < load.publishes; sequence += 1) {
      const publish = `${producerName(i)}:${sequence}:`;
      const ack = acks.get(`${FIRST_PRODUCER_ID + i}:${sequence}`);
      const written = writes.find(({ bytes, result }) => result > 0 && bytes.includes(publish));
      if (ack === undefined || written === undefined) {
        problems.push(`${publish} ack ${ack !== undefined}, write ${written !== undefined}`);
        continue;
      }
      const proof = syncs.find(
        ({ path, begin, end }) => path === written.path && begin > written.end && end < ack.begin,
      );
      if (proof === undefined)
        problems.push(`${publish} written at ${written.end}, acknowledged at ${ack.begin}`);
    }
  }
  return problems;
}

/** The send of each ack, by `producerId:sequence`. */
function acksOf(calls: readonly TracedCall[]): Map<string, TracedCall> {
  const acks = new Map<string, TracedCall>();
  const reader = new FrameReader();
  for (const call of calls) {
    if (!SENDS.includes(call.name) || !call.path.startsWith("socket:")) continue;
    for (const payload of webSocketPayloads(call.bytes)) {
      const frame = decodeFrame(reader, payload, 0, payload.length);
      if (frame.name !== "ACK") continue;
      for (const { producerId, firstSequence, count } of frame.value.ranges) {
        for (let k = 0; k < count; k += 1) {
          const key = `${producerId}:${firstSequence + k}`;
          if (!acks.has(key)) acks.set(key, call);
        }
      }
    }
  }
  return acks;
}

/** Binary messages of a server; nothing for HTTP and control frames. Ours are far below 64 KiB. */
function webSocketPayloads(bytes: Buffer): Buffer[] {
  const payloads: Buffer[] = [];
  let at = 0;
  while (bytes[at] === 0x82) {
    const short = bytes.readUInt8(at + 1);
    const start = at + (short === 126 ? 4 : 2);
    const end = start + (short === 126 ? bytes.readUInt16BE(at + 2) : short);
    if (end > bytes.length) break;
    payloads.push(bytes.subarray(start, end));
    at = end;
  }
  return payloads;
}

/**
 * Lines are `PID NAME(FD<PATH>, …) = RESULT`, or in two parts when other threads came between:
 * `PID NAME(FD<PATH>, … <unfinished ...>` and `PID <... NAME resumed>…) = RESULT`. All text is in `\xNN`.
 */
function callsOf(trace: string): TracedCall[] {
  const calls: TracedCall[] = [];
  const begun = new Map<string, TracedCall>();
  // The last one may not be complete yet.
  const lines = trace.split("\n").slice(0, -1);
  for (const [begin, line] of lines.entries()) {
    const [, pid = "", rest = ""] = /^(\d+) +(.*)$/.exec(line) ?? [];
    if (rest.startsWith("<... ")) {
      const started = begun.get(pid);
      begun.delete(pid);
      if (started !== undefined) calls.push({ ...started, end: begin, result: resultOf(rest) });
      continue;
    }
    const [, name, path = ""] = /^(\w+)\(\d+<([^>]*)>/.exec(rest) ?? [];
    if (name === undefined) continue;
    const bytes = Buffer.concat([...rest.matchAll(/"([^"]*)"/g)].map(([, text = ""]) => textBytes(text)));
    const call = { name, path: textBytes(path).toString(), bytes, begin, end: begin, result: resultOf(rest) };
    if (rest.endsWith("<unfinished ...>")) begun.set(pid, call);
    else calls.push(call);
  }
  return calls;
}

function textBytes(text: string): Buffer {
  return text.startsWith("\\x") ? Buffer.from(text.replaceAll("\\x", ""), "hex") : Buffer.from(text);
}

function resultOf(line: string): number {
  return Number(/\) += (-?\d+)[^)]*$/.exec(line)?.[1] ?? Number.NaN);
}
