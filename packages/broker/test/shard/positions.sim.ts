import assert from "node:assert/strict";
import t from "tap";
import type { SubscriptionOpening, SubscriptionRequestMap } from "../../src/shard/subscription-requests.ts";
import { MODE_QUEUE, MODE_STREAM } from "../../src/subscription/subscription.ts";
import { DURABILITY_FSYNCED } from "../../src/topic.ts";
import { batchOf } from "../harness/batches.ts";
import { forSeeds, type Seeded } from "../harness/seeded.ts";
import { openingOf, type RigPartition, ShardRig } from "../harness/shard-rig.ts";

const TOPIC = 5;
const RECORDS = 40;
const STEPS = 250;
const PARTITIONS: readonly RigPartition[] = [0, 1].map(
  (number) => [TOPIC, number, DURABILITY_FSYNCED] as const,
);
const NAMES = ["x", "y"];

/** What may be found after a crash: what was confirmed last, or anything that was asked for since. Without a crash: the last. */
class Possible<T> {
  #values: { readonly value: T }[];

  constructor(value: T) {
    this.#values = [{ value }];
  }

  get last(): T {
    return (this.#values.at(-1) as { readonly value: T }).value;
  }

  get all(): T[] {
    return this.#values.map(({ value }) => value);
  }

  /** @returns to be called when it is confirmed: then it is nothing that was asked for before. */
  asked(value: T): () => void {
    const entry = { value };
    this.#values.push(entry);
    return () => {
      this.#values = this.#values.slice(Math.max(0, this.#values.indexOf(entry)));
    };
  }

  found(value: T): void {
    this.#values = [{ value }];
  }
}

interface Modelled {
  readonly opening: SubscriptionOpening;
  readonly positions: Possible<number>[];
  readonly snapshots: Map<string, Possible<readonly number[] | undefined>>;
  epoch: number;
}

/** A request that is under way, and what its answer means. */
interface Asked {
  readonly requestId: number;
  readonly confirm: () => void;
}

/** One shard, and a model of where its subscriptions stand: what was answered must be there after any crash. */
class Simulation {
  readonly #random: Seeded;
  readonly #rig: ShardRig;
  readonly #subscriptions: Map<number, Modelled> = new Map();
  #asked: Asked[] = [];
  #nextId = 1;

  constructor(random: Seeded) {
    this.#random = random;
    this.#rig = new ShardRig({ seed: random.seed, segmentSizeBytes: 8_192 });
    this.#start();
    for (const [topicId, partition] of PARTITIONS) {
      const values = Array.from({ length: RECORDS }, (_, i) => String(i));
      this.#rig.gateway.publish({ topicId, partition, count: RECORDS, stored: batchOf(values) });
    }
    this.#rig.settle();
  }

  run(): void {
    for (let step = 0; step < STEPS; step += 1) {
      this.#act();
      for (let left = this.#random.below(4); left > 0; left -= 1) this.#progress();
      if (this.#random.oneIn(30)) this.#rig.shard.checkpoint(false);
      if (this.#random.oneIn(25)) this.#crash();
      if (this.#random.oneIn(10)) this.#check();
    }
    this.#crash();
  }

  #start(): void {
    const rig = this.#rig;
    rig.open();
    rig.answer("reconcile", [PARTITIONS.map(openingOf), rig.journal.cleanShutdown]);
    const openings = [...this.#subscriptions.values()].map(({ opening, snapshots }) => {
      const names = [...snapshots].filter(([, { all }]) => all.some((value) => value !== undefined));
      return [...opening.slice(0, 10), names.map(([name]) => name)] as unknown as SubscriptionOpening;
    });
    rig.answer("reconcileSubscriptions", [openings, true]);
  }

  #crash(): void {
    this.#asked = [];
    this.#rig.crash(this.#random.oneIn(3) ? "process" : "power");
    this.#start();
    this.#check();
  }

  #progress(): void {
    if (this.#random.oneIn(2)) this.#rig.cycle();
    else this.#rig.sync();
    this.#hear();
  }

  #hear(): void {
    for (const event of this.#rig.gateway.events.splice(0)) {
      if (event.kind !== "reply") continue;
      assert.equal(event.error, undefined);
      const at = this.#asked.findIndex(({ requestId }) => requestId === event.requestId);
      if (at >= 0) this.#asked.splice(at, 1)[0]?.confirm();
    }
  }

  #ask<K extends keyof SubscriptionRequestMap>(
    kind: K,
    args: SubscriptionRequestMap[K]["args"],
    confirm: () => void,
  ): void {
    this.#asked.push({ requestId: this.#rig.gateway.ask(kind, args), confirm });
    // In the order asked, or the model would have to know which came first.
    this.#rig.cycle();
    this.#hear();
  }

  #act(): void {
    const random = this.#random;
    const known = [...this.#subscriptions.values()];
    if (known.length === 0 || (known.length < 5 && random.oneIn(8))) this.#subscribe();
    else {
      const subscription = random.pick(known);
      const choice = random.below(10);
      if (choice === 0 && random.oneIn(3)) this.#unsubscribe(subscription);
      else if (choice < 3) this.#snapshot(subscription);
      else if (choice < 5) this.#seek(subscription);
      else if (choice === 5) this.#return(subscription);
      else if (subscription.opening[2] === MODE_STREAM) this.#commit(subscription);
    }
  }

  #subscribe(): void {
    const id = this.#nextId;
    this.#nextId += 1;
    const mode = this.#random.oneIn(2) ? MODE_STREAM : MODE_QUEUE;
    const starts = PARTITIONS.map(([, number]) => [number, this.#random.below(RECORDS)] as const);
    const opening: SubscriptionOpening = [id, TOPIC, mode, 1_000, 0, 0, 0, false, `s${id}`, "t", []];
    // The catalog has it; a shard that is lost before it has answered begins at the end.
    const positions = starts.map(() => new Possible(RECORDS));
    const confirms = starts.map(([number, offset]) => (positions[number] as Possible<number>).asked(offset));
    this.#subscriptions.set(id, { opening, positions, snapshots: new Map(), epoch: 0 });
    this.#ask("subscribe", [opening, starts], () => {
      for (const confirm of confirms) confirm();
    });
  }

  #unsubscribe({ opening }: Modelled): void {
    this.#subscriptions.delete(opening[0]);
    this.#ask("unsubscribe", [opening[0]], () => {});
  }

  #seek({ opening, positions }: Modelled): void {
    const [number, offset] = [this.#random.below(PARTITIONS.length), this.#random.below(RECORDS)];
    const confirm = (positions[number] as Possible<number>).asked(offset);
    this.#ask("seek", [opening[0], [[number, offset]]], confirm);
  }

  #commit(subscription: Modelled): void {
    const { opening, positions } = subscription;
    const [number, offset] = [this.#random.below(PARTITIONS.length), this.#random.below(RECORDS)];
    subscription.epoch += 1;
    this.#ask("acquire", [opening[0], [[number, subscription.epoch]]], () => {});
    const confirm = (positions[number] as Possible<number>).asked(offset);
    this.#ask("commitCursors", [opening[0], [[number, subscription.epoch, offset, 0]]], confirm);
  }

  #snapshot({ opening, positions, snapshots }: Modelled): void {
    const name = this.#random.pick(NAMES);
    const before = snapshots.get(name) ?? new Possible<readonly number[] | undefined>(undefined);
    snapshots.set(name, before);
    const isCreated = !this.#random.oneIn(3);
    const value = isCreated ? positions.map(({ last }) => last) : undefined;
    const confirm = before.asked(value);
    this.#ask("snapshot", [opening[0], name, isCreated ? "create" : "delete"], confirm);
  }

  #return({ opening, positions, snapshots }: Modelled): void {
    const name = this.#random.pick(NAMES);
    const snapshot = snapshots.get(name)?.last;
    if (snapshot === undefined) return;
    const confirms = snapshot.map((offset, number) => (positions[number] as Possible<number>).asked(offset));
    this.#ask("seekToSnapshot", [opening[0], name], () => {
      for (const confirm of confirms) confirm();
    });
  }

  /** All is as the model allows, and from here on known for sure. */
  #check(): void {
    this.#rig.settle();
    this.#hear();
    assert.equal(this.#asked.length, 0, "everything is answered");
    const table = this.#rig.shard.state.subscriptions;
    assert.deepEqual(
      [...table.all()].map(({ subscriptionId }) => subscriptionId).sort(),
      [...this.#subscriptions.keys()].sort(),
    );
    for (const { opening, positions, snapshots } of this.#subscriptions.values()) {
      const found = table.get(opening[0]);
      assert.ok(found !== undefined);
      const parts = [...found.cursors.values(), ...found.queues.values()].sort(
        (left, right) => left.partition.partition - right.partition.partition,
      );
      assert.equal(parts.length, PARTITIONS.length);
      parts.forEach((part, number) => {
        const offset = "state" in part ? part.state.floor : part.offset;
        const possible = positions[number] as Possible<number>;
        assert.ok(
          possible.all.includes(offset),
          `${opening[0]}/${number}: ${offset} is none of ${possible.all}`,
        );
        possible.found(offset);
      });
      for (const [name, snapshot] of snapshots) {
        const { all } = snapshot;
        const isThere = parts.every((part) => part.snapshots?.has(name));
        assert.ok(
          all.some((value) => (value !== undefined) === isThere),
          `${opening[0]}: ${name} ${isThere}`,
        );
        if (!isThere) snapshot.found(undefined);
        if (!isThere || all.length === 1) continue;
        // Which of those that were asked for it is, is found out by going there.
        this.#rig.answer("seekToSnapshot", [opening[0], name]);
        const now = parts.map((part) => ("state" in part ? part.state.floor : part.offset));
        assert.ok(
          all.some((value) => value?.join() === now.join()),
          `${opening[0]}: ${name} is at ${now}, which is none of ${all.join(" ")}`,
        );
        snapshot.found(now);
        now.forEach((offset, number) => {
          positions[number]?.found(offset);
        });
      }
    }
  }
}

t.test("what was answered about positions outlives crashes, and nothing else turns up", async () => {
  forSeeds(15, (random) => new Simulation(random).run());
});
