import type { DriverSettings } from "../driver/driver.ts";

export type LoadRole = "publish" | "consume" | "request" | "respond";

/**
 * How a generator waits for the next record of its schedule when that is due within two milliseconds, for which Node has no
 * timer. `nap`: it sleeps in steps of at most 0.1 ms, which costs a quarter to a third of a core and delays by as much what
 * arrives meanwhile, such as acknowledgements. `spin`: it turns the event loop without sleeping, which costs a whole core.
 */
export type PaceWaiting = "nap" | "spin";

/** What one generator is to do. Travels to it as JSON. */
export interface LoadTask {
  /** URL of the driver's module. */
  readonly driver: string;
  readonly settings: DriverSettings;
  readonly role: LoadRole;
  /** Connections of this generator. */
  readonly connections: number;
  /**
   * Open loop: so many records (or requests) a second, all connections of the task together, at a fixed schedule; latency
   * counts from the moment that each was to be sent. null = saturation: as fast as they are taken.
   */
  readonly recordsPerSecond: number | null;
  /** Records have one of so many keys, in turn; 0 = no key. */
  readonly keys: number;
  /** Records published in a row: in saturation between two looks at the event loop, at a rate those that are due at one moment. */
  readonly burst: number;
  /** `publish`: records of a connection that may be unacknowledged; `request`: requests of a connection under way. */
  readonly inFlightMax: number;
  /** Default "nap". */
  readonly waiting?: PaceWaiting;
  /** Records after which each connection publishes nothing more; without it the load ends with `stop`. */
  readonly recordsMax?: number;
}

/** When a generator is to load, on the clock `monotonicMs`. All generators of a repetition are given the same one. */
export interface LoadSchedule {
  /** The first record. */
  readonly startAtMs: number;
  /** The measured window: what is counted and what is timed. */
  readonly windowStartMs: number;
  readonly windowEndMs: number;
}

/** What a generator has done so far: cheap to ask for, four times a second. */
export interface LoadProgress {
  readonly timeMs: number;
  /** Published and acknowledged, received, answered. */
  readonly records: number;
  /** `publish`: taken by the client. Else as `records`. */
  readonly sent: number;
  /** `consume` in `queue` and `keyed` mode: acks confirmed. */
  readonly settled: number;
  /** Of values. */
  readonly bytes: number;
}

/** How late the schedule was kept, in ms: the generator's own share of the latencies. */
export interface LatenessResult {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** What one generator found out. Travels as JSON. Counts are those of the measured window. */
export interface LoadResult {
  readonly role: LoadRole;
  readonly connections: number;
  /** `publish`: acknowledged; `consume`: received; `request`: answered; `respond`: 0, its client answers by itself. */
  readonly records: number;
  /** `publish`: taken by the client. */
  readonly sent: number;
  /** `consume` in `queue` and `keyed` mode: acks confirmed. */
  readonly settled: number;
  readonly bytes: number;
  /** Length of the window as this generator saw it. */
  readonly seconds: number;
  /** All records, warm-up and drain included. */
  readonly recordsInAll: number;
  readonly sentInAll: number;
  /** hdr histograms in microseconds, V2 compressed, base64. `consume`: from the stamp to the arrival. */
  readonly endToEnd?: string;
  /** `publish`: from the intended time to the acknowledgement. */
  readonly ackLatency?: string;
  /** `request`: from the intended time to the reply. */
  readonly roundTrip?: string;
  /** Records of each quarter of a second of the window. */
  readonly series: readonly number[];
  /** CPU of the generator's process, or of its thread, in the window. */
  readonly cpuSeconds: number;
  /** 0..1. Includes waiting by spinning. */
  readonly eventLoopUtilization: number;
  /** Records of the window that were sent late because the client or the broker had no room for them. Only at a rate. */
  readonly heldBack: number;
  /** What was not held back. Only at a rate. */
  readonly lateMs?: LatenessResult;
  readonly errors: readonly string[];
}
