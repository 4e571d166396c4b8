import type { LatenessResult, LoadSchedule } from "./load-task.ts";

/** What the result of one role has besides the counts. */
export interface RoleResult {
  readonly endToEnd?: string;
  readonly ackLatency?: string;
  readonly roundTrip?: string;
  readonly lateMs?: LatenessResult;
  /** Records of the window that waited for room: the broker or its client held them back. */
  readonly heldBack: number;
}

/** What a generator does, one implementation for each role. `failed` of its context ends the generator. */
export interface RoleWork {
  connect(): Promise<void>;
  /** Begins at `schedule.startAtMs`. */
  start(schedule: LoadSchedule): void;
  /** Nothing more becomes due. What was due in the window is still sent, what is under way goes on. */
  stop(): void;
  /** Sends nothing more, whatever is due. */
  abort(): void;
  /**
   * Resolves once nothing is under way, or when the signal fires; `records`: how many are to come in all, where that is
   * known.
   */
  drained(signal: AbortSignal, records: number | undefined): Promise<void>;
  /** What is missing by now: records that were due and not sent, without an acknowledgement or reply, or not received. */
  missing(): number;
  close(): Promise<void>;
  result(): RoleResult;
}
