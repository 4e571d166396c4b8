import { eventsOf } from "./checked-records.ts";
import type { HistoryEvent } from "./history-event.ts";

/**
 * How long something may be on its way to one process while another one is served already: a busy machine lets processes wait.
 * Only compared between processes; one process hears of things in their order.
 */
const ON_ITS_WAY_MICROS = 5_000_000;

/** A time in which a process of the broker was stopped, and what it had to say waited. */
export interface Stop {
  readonly from: number;
  readonly to: number;
}

export function stopsOf(events: readonly HistoryEvent[]): Stop[] {
  const chaos = eventsOf(events, "chaos");
  return chaos
    .filter(({ action }) => action === "stop")
    .map(({ at, target }) => {
      const end = chaos.find((one) => one.action === "continue" && one.target === target && one.at > at);
      return { from: at, to: end?.at ?? Number.POSITIVE_INFINITY };
    });
}

/** When the broker may have sent what a process heard at `at`. */
export function sentAtTheEarliest(at: number, stops: readonly Stop[]): number {
  let earliest = at - ON_ITS_WAY_MICROS;
  for (const { from, to } of stops)
    if (from <= at && to >= at - ON_ITS_WAY_MICROS) earliest = Math.min(earliest, from - ON_ITS_WAY_MICROS);
  return earliest;
}
