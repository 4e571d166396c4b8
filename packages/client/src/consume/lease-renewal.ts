import { MillraceError, SETTLE_ACTION } from "@millrace/protocol";
import type { Clock, TimerHandle } from "../system-clock.ts";
import type { Lease } from "./lease.ts";
import type { Settlements } from "./settlements.ts";

/** A lease is renewed when so much of its time is over. */
const RENEW_AFTER = 1 / 3;
/** Renewals that are due within so much of the lease's time go in one frame. */
const RENEW_TOGETHER = 1 / 12;

/** Renews leases while one of their messages is held, up to a bound each. */
export class LeaseRenewal {
  readonly #clock: Clock;
  readonly #settlements: Settlements;
  readonly #maxLeaseMs: number;
  readonly #leases: Set<Lease> = new Set();
  /** The subscription's. */
  #leaseMs = 30_000;
  #timer: TimerHandle;
  #timerAtMs = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, settlements: Settlements, maxLeaseMs: number) {
    this.#clock = clock;
    this.#settlements = settlements;
    this.#maxLeaseMs = maxLeaseMs;
  }

  /** A session begins. */
  start(leaseMs: number): void {
    this.#leaseMs = leaseMs;
  }

  /** When a lease that comes now is to be renewed, and until when it may be. */
  timesOfNew(): { readonly renewAtMs: number; readonly endMs: number } {
    const now = this.#clock.now();
    return { renewAtMs: now + this.#leaseMs * RENEW_AFTER, endMs: now + this.#maxLeaseMs };
  }

  add(lease: Lease): void {
    this.#leases.add(lease);
    this.#schedule(lease.renewAtMs);
  }

  /** Nothing of it is held any more. */
  remove(lease: Lease): void {
    this.#leases.delete(lease);
    if (this.#leases.size === 0) this.#unschedule();
  }

  /** The lease ends `ms` from now, by its holder's wish or a renewal. */
  extend(lease: Lease, ms: number = this.#leaseMs): Promise<void> {
    lease.renewAtMs = this.#clock.now() + ms * RENEW_AFTER;
    this.#schedule(lease.renewAtMs);
    const extended = this.#settlements.settle(lease, SETTLE_ACTION.EXTEND, lease.heldOffset, ms);
    extended.catch((error: MillraceError) => {
      if (error.code !== "LEASE_EXPIRED") return;
      lease.lose(error);
      this.remove(lease);
    });
    return extended;
  }

  /** The session is over. */
  clear(error: MillraceError): void {
    const leases = [...this.#leases];
    this.#leases.clear();
    this.#unschedule();
    for (const lease of leases) lease.lose(error);
  }

  #renew(): void {
    const now = this.#clock.now();
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const lease of [...this.#leases]) {
      if (now >= lease.endMs) {
        this.#leases.delete(lease);
        const message = `the message was held for ${this.#maxLeaseMs} ms, which is maxLeaseMs`;
        lease.lose(new MillraceError("LEASE_EXPIRED", message));
        continue;
      }
      if (lease.renewAtMs <= now + this.#leaseMs * RENEW_TOGETHER) this.#renewOne(lease, now);
      nextMs = Math.min(nextMs, lease.renewAtMs);
    }
    if (Number.isFinite(nextMs)) this.#schedule(nextMs);
  }

  #renewOne(lease: Lease, now: number): void {
    const ms = Math.min(this.#leaseMs, Math.ceil(lease.endMs - now));
    void this.extend(lease, ms);
    // The last renewal reaches to the bound, and then it is over.
    if (now + ms >= lease.endMs) lease.renewAtMs = lease.endMs;
  }

  #schedule(atMs: number): void {
    if (atMs >= this.#timerAtMs) return;
    this.#unschedule();
    this.#timerAtMs = atMs;
    this.#timer = this.#clock.setTimer(() => this.#renew(), Math.max(0, atMs - this.#clock.now()));
  }

  #unschedule(): void {
    this.#clock.clearTimer(this.#timer);
    this.#timerAtMs = Number.POSITIVE_INFINITY;
  }
}
