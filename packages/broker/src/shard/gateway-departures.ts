import type { Journal } from "@millrace/journal";
import type { Dispatcher } from "../subscription/dispatcher.ts";
import type { HomeGroups } from "../subscription/home-groups.ts";
import type { Clock } from "./clock.ts";
import type { Delivery } from "./delivery.ts";
import type { Publisher } from "./publisher.ts";
import type { ShardLink } from "./shard-link.ts";
import type { ShardState } from "./shard-state.ts";

export interface GatewayDeparturesContext {
  readonly link: ShardLink;
  readonly state: ShardState;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly publisher: Publisher;
  readonly delivery: Delivery;
  readonly dispatcher: Dispatcher;
  readonly homeGroups: HomeGroups;
  /** Runs once everything staged so far is committed; asks for that commit. */
  afterCommit(run: () => void): void;
}

interface Departure {
  readonly gateway: number;
  /** Ends of the rings for reads and for consumers when it was told of: the gateway's last records lie before. */
  readonly readsEnd: number;
  readonly consumersEnd: number;
  /** Whoever was not answered in time asks again. */
  readonly done: (() => void)[];
  /** Undefined until those records were handled and the gateway was forgotten. */
  left: Left | undefined;
  /** The journal was full: what would have been said to the gateway after a commit is said to nobody. */
  isUnheard: boolean;
}

/** Where things stood when the gateway was forgotten. */
interface Left {
  readonly stagedPosition: number;
  readonly answersEnd: number;
  /** All that waited for a commit by then was answered. */
  isCommitted: boolean;
}

/**
 * Gateways that are gone: their consumers, members, tail groups and reads are forgotten, and then, once nothing more will be
 * said to them, that is answered. A gateway that comes back under the same number may give out the same ids: what is said
 * of those from then on must be about the new ones. Shard thread only.
 */
export class GatewayDepartures {
  readonly #context: GatewayDeparturesContext;
  /** Oldest first. */
  #departures: Departure[] = [];

  constructor(context: GatewayDeparturesContext) {
    this.#context = context;
  }

  /** The last record of the gateway stands before this one. `done` runs when all of it is over. */
  begin(gateway: number, done: () => void): void {
    const { reads, consumers } = this.#context.link;
    // It does not come back before it was answered: nothing of it has come since.
    const pending = this.#departures.find((departure) => departure.gateway === gateway);
    if (pending !== undefined) pending.done.push(done);
    else {
      this.#departures.push({
        gateway,
        readsEnd: reads.tail(),
        consumersEnd: consumers.tail(),
        done: [done],
        left: undefined,
        isUnheard: false,
      });
    }
  }

  /** One cycle's part, behind acks and answers. @returns an amount of work */
  doWork(): number {
    if (this.#departures.length === 0) return 0;
    const before = this.#departures;
    this.#departures = before.filter((departure) => !this.#isOver(departure));
    for (const departure of before) {
      if (this.#departures.includes(departure)) continue;
      for (const done of departure.done) done();
    }
    return before.length - this.#departures.length;
  }

  #isOver(departure: Departure): boolean {
    const { link, journal, publisher, dispatcher } = this.#context;
    const { readsEnd, consumersEnd, gateway } = departure;
    if (link.reads.readPosition < readsEnd) return false;
    // It may be full for days, and the gateway wants to read. (Replies to its requests still come late: their ids are not
    // given out again that soon.)
    if (journal.isFull && !departure.isUnheard) {
      departure.isUnheard = true;
      dispatcher.gatewayGoneUnheard(gateway, consumersEnd);
      publisher.gatewayGone(gateway);
    }
    if (departure.left === undefined) {
      if (!departure.isUnheard && link.consumers.readPosition < consumersEnd) return false;
      departure.left = this.#forget(gateway);
    }
    if (departure.isUnheard) return dispatcher.hasLeft(gateway, 0);
    const { stagedPosition, answersEnd, isCommitted } = departure.left;
    return isCommitted && !publisher.waitsBefore(stagedPosition) && dispatcher.hasLeft(gateway, answersEnd);
  }

  #forget(gateway: number): Left {
    const { state, journal, clock, delivery, dispatcher, homeGroups, afterCommit } = this.#context;
    delivery.gatewayGone(gateway, state.partitions.values());
    homeGroups.gatewayGone(clock.monotonicMs(), gateway);
    const answersEnd = dispatcher.gatewayGone(gateway);
    const left: Left = { stagedPosition: journal.stagedPosition, answersEnd, isCommitted: false };
    afterCommit(() => {
      left.isCommitted = true;
    });
    return left;
  }
}
