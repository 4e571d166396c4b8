import { MillraceError } from "@millrace/protocol";
import { BROKER_LIMITS } from "../limits.ts";
import { gatewayOf } from "../link/gateway-ids.ts";
import { type Assignment, firstEpochOf, GroupCoordinator, type MemberChange } from "./group-coordinator.ts";

/** A member's change as the gateway hears of it; see GatewayHandler.onNotice. */
export type AssignmentNotice = readonly [
  kind: "assignment",
  subscriptionId: number,
  consumerId: number,
  assigned: readonly Assignment[],
  revoked: readonly Assignment[],
  /** Time to release what is revoked; 0 = it is gone already. */
  withinMs: number,
];

/** Tells the consumer's gateway; false = there is no room now. */
export type WriteNotice = (notice: AssignmentNotice) => boolean;

/**
 * The groups of the stream subscriptions whose home this shard is: their members, and what each holds. In memory alone:
 * when the shard is lost, gateways join their members again with what they hold. Shard thread only.
 */
export class HomeGroups {
  readonly #firstEpoch: number;
  readonly #write: WriteNotice;
  readonly #groups: Map<number, GroupCoordinator> = new Map();
  /** The last epoch of groups that have no members now: what they give out next must lie above it. */
  readonly #lastEpochs: Map<number, number> = new Map();
  /** Groups that have something to do, now or at some time. */
  readonly #timed: Map<number, GroupCoordinator> = new Map();
  /** Oldest first. */
  readonly #notices: AssignmentNotice[] = [];

  constructor(journalEpoch: number, write: WriteNotice) {
    this.#firstEpoch = firstEpochOf(journalEpoch);
    this.#write = write;
  }

  /** Groups that have members. */
  get size(): number {
    return this.#groups.size;
  }

  /** Notices that found no room yet. */
  get hasNotices(): boolean {
    return this.#notices.length > 0;
  }

  /**
   * `held`: what the member holds already, when it comes back (`again`) after this shard was lost.
   * @throws MillraceError TOO_MANY_SUBSCRIPTIONS when the group is full
   */
  join(
    nowMs: number,
    subscriptionId: number,
    partitions: number,
    consumerId: number,
    held: readonly Assignment[],
    again: boolean = false,
  ): void {
    let group = this.#groups.get(subscriptionId);
    if (group === undefined) {
      const last = this.#lastEpochs.get(subscriptionId) ?? 0;
      group = new GroupCoordinator(partitions, Math.max(this.#firstEpoch, last + 1));
      this.#lastEpochs.delete(subscriptionId);
      this.#groups.set(subscriptionId, group);
    }
    const { groupMembersMax } = BROKER_LIMITS;
    if (group.memberCount >= groupMembersMax && !group.has(consumerId)) {
      throw new MillraceError("TOO_MANY_SUBSCRIPTIONS", `the group has ${groupMembersMax} members already`, {
        details: { subscriptionId, groupMembersMax },
      });
    }
    group.join(nowMs, consumerId, held, again);
    this.#timed.set(subscriptionId, group);
  }

  leave(nowMs: number, subscriptionId: number, consumerId: number): void {
    const group = this.#groups.get(subscriptionId);
    if (group === undefined) return;
    group.leave(nowMs, consumerId);
    this.#timed.set(subscriptionId, group);
    if (group.memberCount > 0) return;
    this.#lastEpochs.set(subscriptionId, group.lastEpoch);
    this.#groups.delete(subscriptionId);
    this.#timed.delete(subscriptionId);
  }

  released(
    nowMs: number,
    subscriptionId: number,
    consumerId: number,
    assignments: readonly Assignment[],
  ): void {
    const group = this.#groups.get(subscriptionId);
    if (group === undefined) return;
    group.released(nowMs, consumerId, assignments);
    this.#timed.set(subscriptionId, group);
  }

  /** All members of a gateway have left. */
  gatewayGone(nowMs: number, gateway: number): void {
    for (const [subscriptionId, group] of [...this.#groups]) {
      for (const consumerId of group.memberIds()) {
        if (gatewayOf(consumerId) === gateway) this.leave(nowMs, subscriptionId, consumerId);
      }
    }
    const kept = this.#notices.filter(([, , consumerId]) => gatewayOf(consumerId) !== gateway);
    this.#notices.splice(0, this.#notices.length, ...kept);
  }

  /** The subscription's cursors were moved: everybody begins anew. */
  reset(nowMs: number, subscriptionId: number): void {
    const group = this.#groups.get(subscriptionId);
    if (group === undefined) return;
    group.reset(nowMs);
    this.#timed.set(subscriptionId, group);
  }

  /** The subscription was deleted. Its members are not told of it here. */
  drop(subscriptionId: number): void {
    this.#groups.delete(subscriptionId);
    this.#lastEpochs.delete(subscriptionId);
    this.#timed.delete(subscriptionId);
  }

  /** Does what is due, and tells gateways. @returns the number of notices written */
  work(nowMs: number): number {
    for (const [subscriptionId, group] of this.#timed) {
      const atMs = group.nextTimerMs();
      if (atMs <= nowMs) {
        for (const change of group.work(nowMs)) this.#notices.push(noticeOf(subscriptionId, change));
      }
      if (group.nextTimerMs() === Number.POSITIVE_INFINITY) this.#timed.delete(subscriptionId);
    }
    let written = 0;
    while (written < this.#notices.length && this.#write(this.#notices[written] as AssignmentNotice))
      written += 1;
    if (written > 0) this.#notices.splice(0, written);
    return written;
  }

  /** When work() has something to do, beside notices that wait for room; Infinity = not before the next request. */
  nextTimerMs(): number {
    let atMs = Number.POSITIVE_INFINITY;
    for (const group of this.#timed.values()) atMs = Math.min(atMs, group.nextTimerMs());
    return atMs;
  }
}

function noticeOf(subscriptionId: number, change: MemberChange): AssignmentNotice {
  const { consumerId, assigned, revoked, withinMs } = change;
  return ["assignment", subscriptionId, consumerId, assigned, revoked, withinMs];
}
