import assert from "node:assert/strict";
import t from "tap";
import {
  type Assignment,
  firstEpochOf,
  GroupCoordinator,
  JOIN_BATCH_MS,
  type MemberChange,
  REJOIN_WINDOW_MS,
  REVOKE_WITHIN_MS,
} from "../../src/subscription/group-coordinator.ts";
import { forSeeds, type Seeded } from "../harness/seeded.ts";

const ROUNDS = 250;
const STEPS = 150;

/** A member as its client sees itself: what it may work on, and what it has to finish. */
interface ModelMember {
  readonly consumerId: number;
  readonly held: Map<number, number>;
  readonly revoking: Map<number, number>;
  /** It does not answer any more: the coordinator must do without. */
  isSilent: boolean;
  /** The coordinator was lost, and does not know the member yet: somebody else may get what it holds, under higher epochs. */
  isAway: boolean;
}

class GroupModel {
  readonly random: Seeded;
  readonly partitions: number;
  readonly members: Map<number, ModelMember> = new Map();
  /** The highest epoch seen of each partition, over all lives. */
  readonly epochs: number[];
  coordinator: GroupCoordinator;
  nowMs = 1000;
  #life = 1;
  #nextConsumer = 1;

  constructor(random: Seeded) {
    this.random = random;
    this.partitions = 1 + random.below(24);
    this.epochs = new Array<number>(this.partitions).fill(0);
    this.coordinator = new GroupCoordinator(this.partitions, firstEpochOf(this.#life));
  }

  join(): void {
    const consumerId = this.#nextConsumer++;
    this.members.set(consumerId, {
      consumerId,
      held: new Map(),
      revoking: new Map(),
      isSilent: false,
      isAway: false,
    });
    this.coordinator.join(this.nowMs, consumerId, []);
  }

  leave(): void {
    const member = this.#any();
    if (member === undefined) return;
    this.members.delete(member.consumerId);
    this.coordinator.leave(this.nowMs, member.consumerId);
  }

  /** Some of what was revoked is finished; rarely something else is given back too, or again. */
  release(): void {
    const member = this.#any();
    if (member === undefined || member.isSilent) return;
    const rows: Assignment[] = [...member.revoking].filter(() => !this.random.oneIn(3));
    if (this.random.oneIn(20)) rows.push(...[...member.held].slice(0, 1));
    if (this.random.oneIn(20)) rows.push([this.random.below(this.partitions + 2), this.random.below(5)]);
    for (const [partition, epoch] of rows) {
      if (member.revoking.get(partition) === epoch) member.revoking.delete(partition);
      if (member.held.get(partition) === epoch) member.held.delete(partition);
    }
    this.coordinator.released(this.nowMs, member.consumerId, rows);
  }

  reset(): void {
    this.coordinator.reset(this.nowMs);
  }

  /** The shard is lost, and all members that still live join again, in some order, one of them perhaps late. */
  restart(): void {
    this.#life += 1;
    this.coordinator = new GroupCoordinator(this.partitions, firstEpochOf(this.#life));
    const left = [...this.members.values()];
    // Who holds something comes first, as gateways have it: that tells the coordinator that it had a predecessor.
    left.sort((a, b) => Number(b.held.size > 0) - Number(a.held.size > 0) || this.random.below(3) - 1);
    for (const member of left) member.isAway = true;
    for (const member of left) {
      if (this.random.oneIn(8)) {
        this.nowMs += this.random.below(REJOIN_WINDOW_MS * 2);
        this.work();
      }
      this.coordinator.join(this.nowMs, member.consumerId, [...member.held, ...member.revoking]);
      member.isAway = false;
      this.work();
    }
  }

  work(): void {
    const { nowMs, coordinator } = this;
    for (const change of coordinator.work(nowMs)) this.#tell(change);
    assert.ok(coordinator.nextTimerMs() > nowMs, "nothing is left to do now");
    this.#check();
  }

  /** Nothing more happens: revocations are answered or run out. */
  settle(): void {
    for (let turns = 0; turns < 200; turns += 1) {
      const atMs = this.coordinator.nextTimerMs();
      // What a silent member is still asked for after a restart its gateway gives back in the end.
      const isAtRest = atMs === Number.POSITIVE_INFINITY;
      for (const member of this.members.values()) {
        if (member.revoking.size === 0 || (member.isSilent && !isAtRest)) continue;
        this.coordinator.released(this.nowMs, member.consumerId, [...member.revoking]);
        member.revoking.clear();
      }
      if (isAtRest && this.coordinator.nextTimerMs() === atMs) return;
      if (this.coordinator.nextTimerMs() > this.nowMs) this.nowMs = this.coordinator.nextTimerMs();
      this.work();
    }
    throw new Error("it does not come to rest");
  }

  checkBalance(): void {
    const members = [...this.members.values()];
    if (members.length === 0) return;
    const floor = Math.floor(this.partitions / members.length);
    const sizes = members.map(({ held }) => held.size);
    assert.equal(
      sizes.reduce((sum, size) => sum + size, 0),
      this.partitions,
      "every partition is held",
    );
    for (const size of sizes) assert.ok(size === floor || size === floor + 1, `${sizes} is even`);
    for (const member of members) {
      for (const [partition, epoch] of member.held) {
        const { consumerId } = member;
        assert.deepEqual(this.coordinator.holder(partition), { consumerId, epoch });
      }
    }
  }

  #tell({ consumerId, assigned, revoked, withinMs }: MemberChange): void {
    const member = this.members.get(consumerId);
    assert.ok(member !== undefined, "only members are told");
    assert.ok(withinMs === 0 || withinMs === REVOKE_WITHIN_MS);
    for (const [partition, epoch] of revoked) {
      if (withinMs === 0) {
        assert.ok(
          member.held.get(partition) === epoch || member.revoking.get(partition) === epoch,
          "what is taken was held",
        );
        if (member.held.get(partition) === epoch) member.held.delete(partition);
        if (member.revoking.get(partition) === epoch) member.revoking.delete(partition);
        continue;
      }
      // After a restart it may be asked again for what it is finishing.
      if (member.revoking.get(partition) === epoch) continue;
      assert.equal(member.held.get(partition), epoch, "what is revoked was held");
      member.held.delete(partition);
      member.revoking.set(partition, epoch);
    }
    for (const [partition, epoch] of assigned) {
      assert.ok(epoch > (this.epochs[partition] as number), "epochs go up, over restarts too");
      this.epochs[partition] = epoch;
      assert.ok(!member.held.has(partition) && !member.revoking.has(partition));
      member.held.set(partition, epoch);
    }
  }

  /** A partition is worked on by one member at a time, whatever happens, as long as all do what they are told. */
  #check(): void {
    const holders = new Map<number, number>();
    for (const { consumerId, held, revoking, isAway } of this.members.values()) {
      if (isAway) continue;
      for (const partition of [...held.keys(), ...revoking.keys()]) {
        assert.ok(!holders.has(partition), `partition ${partition} is held twice`);
        holders.set(partition, consumerId);
      }
    }
  }

  #any(): ModelMember | undefined {
    return this.members.size === 0 ? undefined : this.random.pick([...this.members.values()]);
  }

  silence(): void {
    const member = this.#any();
    if (member !== undefined) member.isSilent = true;
  }
}

t.test(
  "whoever comes, goes, is slow or silent: one holder a partition, and an even share in the end",
  (t) => {
    forSeeds(ROUNDS, (random) => {
      const model = new GroupModel(random);
      for (let step = 0; step < STEPS; step += 1) {
        const what = random.below(100);
        if (what < 25) model.join();
        else if (what < 42) model.leave();
        else if (what < 75) model.release();
        else if (what < 78) model.reset();
        else if (what < 80) model.restart();
        else if (what < 82) model.silence();
        else if (what < 84) model.nowMs += REVOKE_WITHIN_MS;
        else model.nowMs += random.below(2 * JOIN_BATCH_MS);
        model.work();
        if (random.oneIn(40)) {
          model.settle();
          model.checkBalance();
        }
      }
      model.settle();
      model.checkBalance();
    });
    t.end();
  },
);

t.test("what moves is the least, and everything else goes on", (t) => {
  forSeeds(100, (random) => {
    const model = new GroupModel(random);
    for (let step = 0; step < 20; step += 1) {
      model.settle();
      const before = new Map<number, number>();
      for (const { consumerId, held } of model.members.values()) {
        for (const partition of held.keys()) before.set(partition, consumerId);
      }
      const wasMembers = model.members.size;
      const joins = random.oneIn(2) || wasMembers < 2;
      if (joins) model.join();
      else model.leave();
      model.settle();
      let moved = 0;
      for (const { consumerId, held } of model.members.values()) {
        for (const partition of held.keys()) if (before.get(partition) !== consumerId) moved += 1;
      }
      const share = model.partitions / (joins ? wasMembers + 1 : wasMembers);
      assert.ok(moved <= Math.ceil(share), `${moved} of ${model.partitions} moved`);
    }
  });
  t.end();
});
