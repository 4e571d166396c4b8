import type { Flight } from "./flight.ts";

/** A departure later than this counts as late. */
const LATE_MINUTES = 15;
const SMOOTHING = 0.05;

/** Running figures of one airport's departures. */
export interface AirportFigures {
  flights: number;
  late: number;
  delayMinutes: number;
  worstDelayMinutes: number;
  miles: number;
  /** Exponentially smoothed delay: depends on the order of the flights, to the last bit. */
  smoothedDelayMinutes: number;
  lastDeparture: string;
}

/** Figures of all airports; plain data, so that it can be stored as JSON. */
export type FiguresByAirport = Record<string, AirportFigures>;

/** Counts one flight in, under the airport that it left. */
export function addFlight(figures: FiguresByAirport, flight: Flight): void {
  let airport = figures[flight.origin];
  if (airport === undefined) {
    airport = {
      flights: 0,
      late: 0,
      delayMinutes: 0,
      worstDelayMinutes: Number.MIN_SAFE_INTEGER,
      miles: 0,
      smoothedDelayMinutes: flight.delay,
      lastDeparture: "",
    };
    figures[flight.origin] = airport;
  }
  airport.flights++;
  if (flight.delay > LATE_MINUTES) airport.late++;
  airport.delayMinutes += flight.delay;
  airport.worstDelayMinutes = Math.max(airport.worstDelayMinutes, flight.delay);
  airport.miles += flight.distance;
  airport.smoothedDelayMinutes += SMOOTHING * (flight.delay - airport.smoothedDelayMinutes);
  airport.lastDeparture = flight.date;
}

/** Where two sets of figures differ, one line a difference; none = they are equal. */
export function differences(actual: FiguresByAirport, expected: FiguresByAirport): string[] {
  const airports = [...new Set([...Object.keys(actual), ...Object.keys(expected)])].sort();
  return airports.flatMap((airport) => {
    const [a, b] = [actual[airport], expected[airport]];
    if (a === undefined) return [`${airport}: missing`];
    if (b === undefined) return [`${airport}: not in the file`];
    return (Object.keys(b) as (keyof AirportFigures)[])
      .filter((name) => !Object.is(a[name], b[name]))
      .map((name) => `${airport}: ${name} is ${a[name]}, should be ${b[name]}`);
  });
}
