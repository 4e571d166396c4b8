import type { Assignment } from "../subscription/group-coordinator.ts";
import type { HomeGroups } from "../subscription/home-groups.ts";
import type { Clock } from "./clock.ts";
import type { RequestHandlers } from "./request-context.ts";

/** Requests to the home shard of a stream subscription. What they lead to its members learn by the notice "assignment". */
export interface GroupRequestMap {
  /** The consumer takes part. `held`: what it holds already, when it took part `again` after this shard was lost. */
  groupJoin: {
    args: [
      subscriptionId: number,
      partitions: number,
      consumerId: number,
      held: readonly Assignment[],
      again?: boolean,
    ];
    reply: null;
  };
  groupLeave: { args: [subscriptionId: number, consumerId: number]; reply: null };
  groupReleased: {
    args: [subscriptionId: number, consumerId: number, assignments: readonly Assignment[]];
    reply: null;
  };
  /** The subscription was sought, and all members begin anew; or it was deleted, and nobody needs to be told. */
  groupReset: { args: [subscriptionId: number, isDeleted: boolean]; reply: null };
}

/** Answers the requests of groups. Shard thread only. */
export class GroupRequests {
  readonly handlers: RequestHandlers<GroupRequestMap> = {
    groupJoin: ([subscriptionId, partitions, consumerId, held, again], done) => {
      this.#groups.join(this.#clock.monotonicMs(), subscriptionId, partitions, consumerId, held, again);
      done(null);
    },
    groupLeave: ([subscriptionId, consumerId], done) => {
      this.#groups.leave(this.#clock.monotonicMs(), subscriptionId, consumerId);
      done(null);
    },
    groupReleased: ([subscriptionId, consumerId, assignments], done) => {
      this.#groups.released(this.#clock.monotonicMs(), subscriptionId, consumerId, assignments);
      done(null);
    },
    groupReset: ([subscriptionId, isDeleted], done) => {
      if (isDeleted) this.#groups.drop(subscriptionId);
      else this.#groups.reset(this.#clock.monotonicMs(), subscriptionId);
      done(null);
    },
  };
  readonly #groups: HomeGroups;
  readonly #clock: Clock;

  constructor(groups: HomeGroups, clock: Clock) {
    this.#groups = groups;
    this.#clock = clock;
  }
}
