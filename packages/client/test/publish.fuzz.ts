import { MillraceError } from "@millrace/protocol";
import t from "tap";
import { connectOn } from "../src/connect.ts";
import type { PublishResult } from "../src/index.ts";
import { ManualClock, microtasks } from "./manual-clock.ts";
import { MemoryNetwork } from "./memory-transport.ts";
import { BAD, type Fault, ModelBroker } from "./model-broker.ts";
import { Seeded, seeds } from "./seeded.ts";

interface Sent {
  readonly value: string;
  readonly partition: number;
  result: PublishResult | MillraceError | undefined;
}

const PARTITIONS = 3;
const STEPS = 400;

/** One run: random sends, faults and lost connections, then peace. Returns what was wrong. */
async function run(seed: number, dedup: boolean): Promise<string[]> {
  const random = new Seeded(seed);
  const clock = new ManualClock();
  const network = new MemoryNetwork();
  let ids = 0;
  const entropy = { fraction: () => random.fraction(), producerId: () => ++ids };
  const faultRate = random.chance(0.2) ? 0 : random.fraction() * 0.2;
  const faults: Fault[] = ["THROTTLED", "DISK_FULL", "SHARD_RESTARTED", "STORED_THEN_RESTARTED"];
  const fault = (): Fault =>
    random.chance(faultRate) ? (faults[random.below(faults.length)] as Fault) : "none";
  const broker = new ModelBroker("t", PARTITIONS, { fault, dedup, credit: 200 + random.below(20_000) });
  const client = connectOn({ connectTransport: network.connect, clock, entropy }, "ws://model", {
    // Not what is tested here; a step may take any time.
    connectTimeoutMs: 1_000_000_000,
    retryFirstConnect: true,
    requestTimeoutMs: 1_000_000_000,
    pingIntervalMs: 1_000_000_000,
    deadAfterMs: 1_000_000_000,
  });
  const settle = async (): Promise<void> => {
    await microtasks();
    for (let more = true; more; await microtasks()) {
      more = network.last.deliver();
      while (!network.last.isClosed && broker.step(network.last)) more = true;
      broker.flushAcks(network.last);
      if (!more) more = network.last.undelivered > 0 && !network.last.isClosed;
    }
  };
  await settle();
  const producer = (await client).producer("t", {
    lingerMs: random.below(3),
    batchBytes: random.chance(0.3) ? 0 : 1024,
    deliveryTimeoutMs: 1_000_000_000,
    maxBufferedBytes: 20_000,
  });
  const sent: Sent[] = [];
  const send = (): void => {
    const partition = random.below(PARTITIONS);
    const record: Sent = {
      value: `${sent.length}:${random.chance(0.03) ? BAD : ""}${"x".repeat(random.below(300))}`,
      partition,
      result: undefined,
    };
    sent.push(record);
    const settled = (result: PublishResult | MillraceError): void => {
      if (record.result !== undefined) throw new Error("settled twice");
      record.result = result;
    };
    producer.send({ value: record.value, partition }).then(settled, settled);
  };

  const forgets = random.chance(0.3);
  const crashes = random.chance(0.3);
  for (let step = 0; step < STEPS; step += 1) {
    const session = network.last;
    const what = random.below(100);
    if (what < 35) for (let i = random.below(10); i >= 0; i -= 1) send();
    else if (what < 60)
      for (let i = random.below(6); i >= 0 && !session.isClosed; i -= 1) broker.step(session);
    else if (what < 80) for (let i = random.below(6); i >= 0; i -= 1) session.deliver();
    else if (what < 86) broker.flushAcks(session);
    else if (what < 95) clock.advance(random.below(50));
    else if (what < 96) session.cut();
    else if (what < 97) network.isUp = !network.isUp;
    else if (what < 98 && !session.isClosed) broker.revoke(session);
    else if (what < 99 && !session.isClosed) broker.grant(session, random.below(5_000));
    else clock.advance(6_000);
    // Idle producers only: a forgotten one can store its first batch again.
    const isIdle = sent.every(({ result }) => result !== undefined);
    if (forgets && isIdle && random.chance(0.2)) broker.forgetProducers(random.below(PARTITIONS));
    if (crashes && !session.isClosed && random.chance(0.02)) {
      broker.crash(session, random.below(PARTITIONS), random.below(3));
    }
    await microtasks();
  }

  broker.setFault(() => "none");
  network.isUp = true;
  for (let round = 0; round < 400 && sent.some(({ result }) => result === undefined); round += 1) {
    await settle();
    clock.advance(Math.min(20_000, Math.max(1, clock.nextInMs)));
  }
  return [...broker.violations, ...problems(broker, sent)];
}

/** Each record stored once, where its promise says, in the order of the sends; a refused one nowhere. */
function problems(broker: ModelBroker, sent: readonly Sent[]): string[] {
  const found: string[] = [];
  broker.partitions.forEach(({ log }, partition) => {
    const seen = new Map<string, number>();
    let last = -1;
    for (const { value, offset } of log) {
      if (seen.has(value)) found.push(`stored twice: ${value.slice(0, 8)} in ${partition}`);
      seen.set(value, offset);
      const index = Number.parseInt(value, 10);
      if (index < last) found.push(`out of order: ${index} after ${last} in ${partition}`);
      last = Math.max(last, index);
    }
    for (const { value, result, partition: wanted } of sent) {
      if (wanted !== partition) continue;
      const offset = seen.get(value);
      const name = value.slice(0, 8);
      if (result === undefined) found.push(`never settled: ${name}`);
      else if (result instanceof MillraceError) {
        if (broker.hasForgotten && result.code === "UNKNOWN_PRODUCER") continue;
        if (result.code !== "INVALID_BATCH") found.push(`${name} failed: ${result.code} ${result.message}`);
        if (offset !== undefined) found.push(`refused and stored: ${name}`);
      } else if (result.offset !== offset && !broker.lost.has(value))
        found.push(`${name} stored at ${offset}, reported at ${result.offset}`);
    }
  });
  return found;
}

// Outside of t.test: tap follows every promise made inside, which costs ten times as much as the runs themselves.
const failures: string[] = [];
for (const seed of seeds(120)) {
  const found = await run(seed, true);
  if (found.length > 0) failures.push(`seed ${seed}: ${found.slice(0, 5).join("; ")}`);
}
let noticed = 0;
for (const seed of seeds(10)) if ((await run(seed, false)).length > 0) noticed += 1;

t.test("whatever happens, each record is stored once, in order, where its promise says", async (t) => {
  t.same(failures, []);
});

t.test("a broker that stores retries again is noticed", async (t) => {
  t.ok(noticed > 0);
});
