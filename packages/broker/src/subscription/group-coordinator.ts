import { stickyPlan } from "./sticky-assignment.ts";

/** A member gives up a partition that is taken from it within this time; then it is taken by force. */
export const REVOKE_WITHIN_MS = 30_000;
/** Joins within this time of the first cause one rebalance. */
export const JOIN_BATCH_MS = 10;
/** After a coordinator was lost its members come back with what they hold; until then nothing is given away. */
export const REJOIN_WINDOW_MS = 500;
/** Room for the assignments of one partition in one life of the home shard; see firstEpochOf(). */
const EPOCHS_PER_LIFE = 2 ** 20;

/** `[partition, assignmentEpoch]` */
export type Assignment = readonly [partition: number, epoch: number];

/** What a member is to be told. A partition that is in both is revoked first. */
export interface MemberChange {
  readonly consumerId: number;
  readonly assigned: readonly Assignment[];
  readonly revoked: readonly Assignment[];
  /** Time to release what is revoked; 0 = it is gone already. */
  readonly withinMs: number;
}

interface Member {
  readonly consumerId: number;
  /** Not told yet. */
  assigned: Assignment[];
  revoked: Assignment[];
  taken: Assignment[];
}

/** How one partition is held. */
interface Holding {
  readonly partition: number;
  owner: Member | undefined;
  /** Of its latest assignment, whether it is still held or not. */
  epoch: number;
  /** Orders a member's partitions by age. */
  since: number;
  /** When it is taken from its owner by force; Infinity = it is not being revoked. */
  deadlineMs: number;
}

/** The first assignment epoch of a life of the home shard; a later life begins above all of this one. */
export function firstEpochOf(journalEpoch: number): number {
  return journalEpoch * EPOCHS_PER_LIFE;
}

/**
 * Shares the partitions of one subscription out among its members: each is held by at most one, under an epoch of its own
 * that only goes up. When members come or go, only what has to move is revoked; who gets it waits until it was released, or
 * REVOKE_WITHIN_MS are over. No clock and no I/O: what members are to be told is what work() returns, to be called after
 * changes and at nextTimerMs().
 */
export class GroupCoordinator {
  readonly #firstEpoch: number;
  readonly #holdings: readonly Holding[];
  /** In the order in which they joined. */
  readonly #members: Map<number, Member> = new Map();
  #rebalanceAtMs: number = Number.POSITIVE_INFINITY;
  #holdUntilMs: number = Number.NEGATIVE_INFINITY;
  /** Not above the earliest deadline. */
  #deadlineMs: number = Number.POSITIVE_INFINITY;
  #hasAssigned = false;
  #hasNews = false;
  #since = 0;

  /** @param firstEpoch no assignment's epoch is lower */
  constructor(partitions: number, firstEpoch: number) {
    this.#firstEpoch = firstEpoch;
    this.#holdings = Array.from({ length: partitions }, (_, partition) => ({
      partition,
      owner: undefined,
      epoch: 0,
      since: 0,
      deadlineMs: Number.POSITIVE_INFINITY,
    }));
  }

  get memberCount(): number {
    return this.#members.size;
  }

  memberIds(): number[] {
    return [...this.#members.keys()];
  }

  has(consumerId: number): boolean {
    return this.#members.has(consumerId);
  }

  /** A coordinator that follows this one in the same life of the shard starts above it. */
  get lastEpoch(): number {
    return this.#holdings.reduce((last, { epoch }) => Math.max(last, epoch), this.#firstEpoch);
  }

  /** The member that holds the partition, being revoked or not, and its epoch. */
  holder(partition: number): { readonly consumerId: number; readonly epoch: number } | undefined {
    const holding = this.#holdings[partition];
    if (holding?.owner === undefined) return undefined;
    return { consumerId: holding.owner.consumerId, epoch: holding.epoch };
  }

  /**
   * `held`: what the member says it holds, after this coordinator's predecessor was lost. Of those who say so of one
   * partition, the one with the highest epoch is right. `again`: it was the predecessor's member, whether it holds something or
   * not, so that others may be about to say what they hold.
   */
  join(nowMs: number, consumerId: number, held: readonly Assignment[], again: boolean = false): void {
    let member = this.#members.get(consumerId);
    if (member === undefined) {
      member = { consumerId, assigned: [], revoked: [], taken: [] };
      this.#members.set(consumerId, member);
    }
    if ((again || held.length > 0) && !this.#hasAssigned && this.#holdUntilMs === Number.NEGATIVE_INFINITY) {
      this.#holdUntilMs = nowMs + REJOIN_WINDOW_MS;
    }
    for (const assignment of held) this.#claim(member, assignment);
    this.#rebalanceBy(nowMs + JOIN_BATCH_MS);
  }

  /** What the member holds is free at once. */
  leave(nowMs: number, consumerId: number): void {
    const member = this.#members.get(consumerId);
    if (member === undefined) return;
    this.#members.delete(consumerId);
    for (const holding of this.#holdings) if (holding.owner === member) free(holding);
    this.#rebalanceBy(nowMs);
  }

  /** The member has finished with these; what it does not hold under that epoch any more is passed over. */
  released(nowMs: number, consumerId: number, assignments: readonly Assignment[]): void {
    for (const [partition, epoch] of assignments) {
      const holding = this.#holdings[partition];
      if (holding?.owner?.consumerId !== consumerId || holding.epoch !== epoch) continue;
      free(holding);
      this.#rebalanceBy(nowMs);
    }
  }

  /** The cursors were moved: whoever holds a partition loses it at once, and gets it anew. */
  reset(nowMs: number): void {
    for (const holding of this.#holdings) {
      const { owner, deadlineMs } = holding;
      if (owner === undefined) continue;
      this.#take(holding);
      if (deadlineMs === Number.POSITIVE_INFINITY) this.#assign(holding, owner);
    }
    this.#rebalanceBy(nowMs);
  }

  /** When work() has something to do; Infinity = not before the next change. */
  nextTimerMs(): number {
    if (this.#hasNews) return Number.NEGATIVE_INFINITY;
    return Math.min(this.#deadlineMs, Math.max(this.#rebalanceAtMs, this.#holdUntilMs));
  }

  /**
   * Takes what was not released in time, and rebalances if somebody came or went.
   * @returns at most two changes a member: of what is gone already and of what is to be released.
   */
  work(nowMs: number): readonly MemberChange[] {
    if (this.#deadlineMs <= nowMs) this.#takeOverdue(nowMs);
    // Again when it revoked what nobody has been told of: that is free at once.
    while (this.#rebalanceAtMs <= nowMs && this.#holdUntilMs <= nowMs) this.#rebalance(nowMs);
    return this.#takeNews();
  }

  #rebalanceBy(atMs: number): void {
    this.#rebalanceAtMs = Math.min(this.#rebalanceAtMs, atMs);
  }

  #claim(member: Member, [partition, epoch]: Assignment): void {
    const holding = this.#holdings[partition];
    if (holding === undefined || (holding.owner === member && holding.epoch === epoch)) return;
    if (epoch <= holding.epoch) {
      member.taken.push([partition, epoch]);
      this.#hasNews = true;
      return;
    }
    if (holding.owner !== undefined) this.#take(holding);
    holding.owner = member;
    holding.epoch = epoch;
    holding.since = this.#since++;
  }

  #takeOverdue(nowMs: number): void {
    this.#deadlineMs = Number.POSITIVE_INFINITY;
    for (const holding of this.#holdings) {
      if (holding.deadlineMs <= nowMs) {
        this.#take(holding);
        this.#rebalanceBy(nowMs);
      }
      this.#deadlineMs = Math.min(this.#deadlineMs, holding.deadlineMs);
    }
  }

  #rebalance(nowMs: number): void {
    this.#rebalanceAtMs = Number.POSITIVE_INFINITY;
    this.#hasAssigned = true;
    const members = [...this.#members.values()];
    const held = new Map<Member, Holding[]>(members.map((member) => [member, []]));
    const unheld: number[] = [];
    for (const holding of this.#holdings) {
      if (holding.owner === undefined) unheld.push(holding.partition);
      else if (holding.deadlineMs === Number.POSITIVE_INFINITY) held.get(holding.owner)?.push(holding);
    }
    const plan = stickyPlan(
      this.#holdings.length,
      [...held.values()].map((list) =>
        list.sort((a, b) => a.since - b.since).map(({ partition }) => partition),
      ),
      unheld,
    );
    members.forEach((member, i) => {
      for (const partition of plan.revoked[i] ?? [])
        this.#revoke(this.#holdings[partition] as Holding, nowMs);
      for (const partition of plan.assigned[i] ?? [])
        this.#assign(this.#holdings[partition] as Holding, member);
    });
  }

  #assign(holding: Holding, member: Member): void {
    holding.owner = member;
    holding.epoch = Math.max(holding.epoch + 1, this.#firstEpoch);
    holding.since = this.#since++;
    member.assigned.push([holding.partition, holding.epoch]);
    this.#hasNews = true;
  }

  #revoke(holding: Holding, nowMs: number): void {
    if (withdraw(holding)) {
      free(holding);
      this.#rebalanceBy(nowMs);
      return;
    }
    holding.deadlineMs = nowMs + REVOKE_WITHIN_MS;
    this.#deadlineMs = Math.min(this.#deadlineMs, holding.deadlineMs);
    holding.owner?.revoked.push([holding.partition, holding.epoch]);
    this.#hasNews = true;
  }

  #take(holding: Holding): void {
    if (!withdraw(holding)) {
      holding.owner?.taken.push([holding.partition, holding.epoch]);
      this.#hasNews = true;
    }
    free(holding);
  }

  #takeNews(): readonly MemberChange[] {
    if (!this.#hasNews) return [];
    this.#hasNews = false;
    const changes: MemberChange[] = [];
    for (const member of this.#members.values()) {
      const { consumerId, assigned, revoked, taken } = member;
      if (taken.length > 0) changes.push({ consumerId, assigned: [], revoked: taken, withinMs: 0 });
      if (revoked.length > 0 || assigned.length > 0) {
        changes.push({ consumerId, assigned, revoked, withinMs: REVOKE_WITHIN_MS });
      }
      member.assigned = [];
      member.revoked = [];
      member.taken = [];
    }
    return changes;
  }
}

function free(holding: Holding): void {
  holding.owner = undefined;
  holding.deadlineMs = Number.POSITIVE_INFINITY;
}

/** True when the owner had not been told of the assignment: then it never was. */
function withdraw({ owner, partition, epoch }: Holding): boolean {
  const untold = owner?.assigned.findIndex(([other, of]) => other === partition && of === epoch) ?? -1;
  if (untold >= 0) owner?.assigned.splice(untold, 1);
  return untold >= 0;
}
