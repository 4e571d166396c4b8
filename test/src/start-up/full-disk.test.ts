// Runs against one process: it fills a disk until the broker says so, and each node of a cluster would say so for itself.
import { join } from "node:path";
import type { MillraceError, ReceivedRecord } from "@millrace/client";
import t, { type Test } from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { connectedClient } from "../harness/connected-client.ts";
import { publishFrame, RawClient } from "../harness/raw-client.ts";
import { readAll, take } from "../harness/reading.ts";
import { SmallDisk } from "../harness/small-disk.ts";
import { nameOfValue, recordValue } from "../harness/test-records.ts";
import { inTime, until } from "../harness/waiting.ts";

const MIB = 1024 * 1024;
const DISK_BYTES = 24 * MIB;
/** Holds space that a test can give back. */
const FILLER_BYTES = 12 * MIB;
const VALUE_BYTES = 100_000;

/** Publishes records one after another, without waiting for answers, and keeps what became of each. */
class Publisher {
  readonly #client: RawClient;
  readonly #topicId: number;
  sent = 0;

  constructor(client: RawClient, topicId: number) {
    this.#client = client;
    this.#topicId = topicId;
  }

  async publish(): Promise<void> {
    const sequence = this.sent;
    this.sent += 1;
    const records = [{ value: recordValue("disk", sequence, VALUE_BYTES) }];
    await this.#client.publish(publishFrame({ topicId: this.#topicId, sequence, records }));
    await this.#client.ping();
  }

  /** Sequences by what became of them; what has no answer is in neither. */
  outcome(): { acked: Set<number>; refused: Set<number>; codes: Set<string> } {
    const acked = new Set<number>();
    const refused = new Set<number>();
    const codes = new Set<string>();
    for (const { frame } of this.#client.history) {
      if (frame.name === "ACK") {
        for (const { firstSequence, count } of frame.value.ranges) {
          for (let i = 0; i < count; i += 1) acked.add(firstSequence + i);
        }
      } else if (frame.name === "ERROR") {
        const { firstSequence, count } = frame.value.details;
        for (let i = 0; i < Number(count); i += 1) refused.add(Number(firstSequence) + i);
        codes.add(`${frame.value.name} retriable=${frame.value.retriable}`);
      }
    }
    return { acked, refused, codes };
  }

  get isAnswered(): boolean {
    const { acked, refused } = this.outcome();
    return acked.size + refused.size === this.sent;
  }
}

t.test(
  "a full disk: publishers are told, readers go on, and so does everything once there is space",
  async (t) => {
    const disk = SmallDisk.mount(t, DISK_BYTES);
    if (disk === undefined) return;
    disk.fill(FILLER_BYTES);
    const dataDir = join(disk.path, "data");
    let broker = await BrokerProcess.start(t, { dataDir, args: ["--shards", "2"] });
    const client = await connectedClient(t, broker.url);
    const { topicId } = await client.topics.create("full");
    const follower = client.subscribe("full", { from: "earliest" })[Symbol.asyncIterator]();
    const publisher = new Publisher(await RawClient.connect(t, broker.url), topicId);

    while (publisher.outcome().refused.size < 3) await publisher.publish();
    const full = publisher.outcome();
    t.same([...full.codes], ["DISK_FULL retriable=true"], `after ${full.acked.size} records`);
    t.ok(full.acked.size > 20, "which is not before it is full");
    t.same(
      (await namesIn(t, broker)).slice(0, full.acked.size),
      [...full.acked],
      "what was acknowledged can be read",
    );
    await take(follower, full.acked.size);
    // The shard of the catalog may have found room in its own files so far, and the disk not be below the mark.
    disk.fillRest();
    const codes: string[] = [];
    await until(async () => {
      await client.topics.create(`one-more-${codes.length}`).then(
        () => codes.push("created"),
        ({ code }: MillraceError) => codes.push(code),
      );
      return codes.at(-1) !== "created";
    }, "no topic can be created");
    t.equal(codes.at(-1), "DISK_FULL");
    t.equal((await broker.get("/healthz")).status, 200);

    // The SDK takes DISK_FULL for what it is, and tries again until there is space.
    const producer = client.producer("full", { retryBackoffMaxMs: 100 });
    const patient = producer.send({ value: recordValue("patient", 0, VALUE_BYTES) });
    disk.free();
    t.match(await inTime(patient, "the patient record"), { topic: "full" });
    // What was taken before the disk was found full has kept its place.
    await until(() => publisher.isAnswered, "every publish to be answered");
    // Refusals are retriable, and may still come until the shard has looked at its disk again.
    const before = publisher.outcome().acked.size;
    for (let tries = 0; tries < 2_000 && publisher.outcome().acked.size < before + 10; tries += 1) {
      await publisher.publish();
      await until(() => publisher.isAnswered, "more publishes to be answered");
    }
    const { acked, refused } = publisher.outcome();
    t.ok(acked.size >= before + 10, "publishing works again");
    t.notOk([...acked].some((sequence) => refused.has(sequence)));
    const names = await namesIn(t, broker);
    t.same(
      new Set(names),
      new Set([...acked, "patient"]),
      "what was acknowledged is stored, and nothing else",
    );
    t.equal(names.length, acked.size + 1, "each once");
    const rest = await take(follower, names.length - full.acked.size);
    t.same(rest.map(nameOf), names.slice(full.acked.size), "and a follower has seen the same");

    disk.fill();
    await broker.kill();
    t.comment(`a start on a full disk: ${await startOrRefusal(t, dataDir)}`);
    disk.free();
    broker = await BrokerProcess.start(t, { dataDir });
    t.same(await namesIn(t, broker), names, "all of it is there after the kill of a broker with a full disk");
  },
);

/** Sequence of a publisher's record, or the name of another one. */
function nameOf({ value }: ReceivedRecord): number | string {
  const bytes = value as Uint8Array;
  const { producer, sequence } = nameOfValue(bytes);
  if (!recordValue(producer, sequence, bytes.length).equals(bytes)) return "altered";
  return producer === "disk" ? sequence : producer;
}

async function namesIn(t: Test, broker: BrokerProcess): Promise<(number | string)[]> {
  const client = await connectedClient(t, broker.url);
  const records = await readAll(client, "full");
  t.ok(
    records.every(({ offset }, i) => offset === i),
    "without a gap",
  );
  await client.close();
  return records.map(nameOf);
}

/** A broker may start on a full disk or say why not; it must not hang, crash or lose anything. */
async function startOrRefusal(t: Test, dataDir: string): Promise<string> {
  const starting = BrokerProcess.launch(t, { dataDir });
  await Promise.race([
    starting.exited,
    starting.printed(() => starting.stdout.includes("listening"), "an outcome").catch(() => {}),
  ]);
  if (starting.isRunning) {
    await starting.kill("SIGTERM");
    return "started";
  }
  t.match(starting.stderr, /^error [A-Z_]+: /m);
  t.equal((await starting.exited).code, 1);
  return starting.stderr.trim().slice(0, 200);
}
