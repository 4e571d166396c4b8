import type { Flight } from "./flight.ts";

/** The passengers of flights that leave later than this are told. */
const NOTICE_MINUTES = 120;

/** Whether the passengers of a flight are to be told that it is late. */
export function needsNotice(flight: Flight): boolean {
  return flight.delay > NOTICE_MINUTES;
}
