import {
  errorNameOf,
  MillraceError,
  SETTLE_ACTION,
  type SettleAction,
  type SettledFrame,
  type SettleRow,
} from "@millrace/protocol";
import { Deferred } from "../deferred.ts";
import type { Clock } from "../system-clock.ts";
import type { Lease } from "./lease.ts";

/** One row of a SETTLE, which settles consecutive messages of a lease. */
interface Settlement {
  readonly settleId: number;
  readonly lease: Lease;
  readonly action: SettleAction;
  readonly argument: number | string | undefined;
  readonly firstOffset: number;
  count: number;
  readonly outcome: Deferred<void>;
}

/** Rows of one SETTLE, well below what a frame may hold. */
const ROWS_MAX = 1_000;

/**
 * What is being settled: what was asked for in one turn of the event loop goes in one frame, neighbours in one row, which
 * has one outcome.
 */
export class Settlements {
  readonly #clock: Clock;
  readonly #send: (rows: readonly SettleRow[]) => void;
  /** Sent, by their ids. */
  readonly #sent: Map<number, Settlement> = new Map();
  #queued: Settlement[] = [];
  /** The row of this turn that a lease's next message may join. */
  readonly #open: Map<Lease, Settlement> = new Map();
  #lastId = 0;
  #underWay = 0;

  constructor(clock: Clock, send: (rows: readonly SettleRow[]) => void) {
    this.#clock = clock;
    this.#send = send;
  }

  /** Messages whose settling has no outcome yet. */
  get underWay(): number {
    return this.#underWay;
  }

  /** Settles one message, or extends its lease. */
  settle(lease: Lease, action: SettleAction, offset: number, argument?: number | string): Promise<void> {
    if (action !== SETTLE_ACTION.EXTEND) this.#underWay += 1;
    const open = this.#open.get(lease);
    if (
      open !== undefined &&
      open.action === action &&
      open.argument === argument &&
      open.firstOffset + open.count === offset
    ) {
      open.count += 1;
      return open.outcome.promise;
    }
    this.#lastId = (this.#lastId + 1) >>> 0;
    const settlement: Settlement = {
      settleId: this.#lastId,
      lease,
      action,
      argument,
      firstOffset: offset,
      count: 1,
      outcome: new Deferred(),
    };
    if (this.#queued.length === 0) this.#clock.afterTurn(() => this.flush());
    this.#queued.push(settlement);
    this.#open.set(lease, settlement);
    return settlement.outcome.promise;
  }

  /** Sends what is waiting for the end of the turn. */
  flush(): void {
    const queued = this.#queued;
    this.#queued = [];
    this.#open.clear();
    for (let from = 0; from < queued.length; from += ROWS_MAX) {
      const rows = queued.slice(from, from + ROWS_MAX);
      for (const settlement of rows) this.#sent.set(settlement.settleId, settlement);
      this.#send(rows.map(rowOf));
    }
  }

  onSettled({ rows }: SettledFrame): void {
    for (const { settleId, outcome } of rows) {
      const settlement = this.#sent.get(settleId);
      if (settlement === undefined) continue;
      this.#sent.delete(settleId);
      this.#forget(settlement);
      if (outcome === 0) settlement.outcome.resolve();
      else settlement.outcome.reject(outcomeError(settlement, outcome));
    }
  }

  /** The session is over: nothing of it will have an outcome. */
  abandon(error: MillraceError): void {
    const all = [...this.#sent.values(), ...this.#queued];
    this.#sent.clear();
    this.#queued = [];
    this.#open.clear();
    for (const settlement of all) {
      this.#forget(settlement);
      settlement.outcome.reject(error);
    }
  }

  #forget({ action, count }: Settlement): void {
    if (action !== SETTLE_ACTION.EXTEND) this.#underWay -= count;
  }
}

function rowOf(settlement: Settlement): SettleRow {
  const { settleId, action, lease, firstOffset, count, argument } = settlement;
  const { partition, leaseEpoch, leaseCounter } = lease;
  return { settleId, action, partition, leaseEpoch, leaseCounter, firstOffset, count, argument };
}

function outcomeError({ lease, firstOffset, count }: Settlement, outcome: number): MillraceError {
  const { partition } = lease;
  const what = count === 1 ? `offset ${firstOffset}` : `offsets ${firstOffset}..${firstOffset + count - 1}`;
  const code = errorNameOf(outcome) ?? "INTERNAL";
  const message = `${what} of partition ${partition} could not be settled: ${code}`;
  return new MillraceError(code, message, { details: { partition, firstOffset, count, outcome } });
}
