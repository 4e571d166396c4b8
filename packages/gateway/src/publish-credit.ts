import { LIMITS } from "@millrace/protocol";
import type { Clock } from "./clock.ts";
import { GATEWAY_LIMITS } from "./limits.ts";

/** CreditAccount.spend: the frame goes beyond what was granted. Answer CREDIT_EXCEEDED and close the session. */
export const CREDIT_EXCEEDED = -1;
/** CreditAccount.returned: the limit lies below what was sent, or above what was granted. Close the session. */
export const INVALID_LIMIT = -2;

/** Sends the frames by which an account's owner learns of its credit. */
export interface CreditOwner {
  /** Whether a small frame would leave now; false while the socket is over its high-water mark. */
  canSend(): boolean;
  sendCredit(limit: number): void;
  sendRevoke(limit: number): void;
  /** It has not answered a revoke in time. */
  revokeTimedOut(): void;
}

/**
 * The publish credit of one session. Limits are cumulative bytes of PUBLISH frames since HELLO. What lies between
 * `released` and `limit` is memory that the session may make the gateway use, and is reserved in the pool.
 */
export class CreditAccount {
  readonly owner: CreditOwner;
  /** Bytes of frames that have come. */
  received = 0;
  /** Bytes of frames whose memory has been let go. */
  released = 0;
  /**
   * Bytes of frames that a shard has taken and not answered. They are the ring's memory, not the gateway's, but as much less
   * credit is granted: a ring that is kept full parks frames, and what stands in it leaves the caches before it is read.
   */
  unanswered = 0;
  /** What the client has been told it may send in all. */
  limit = 0;
  /** The limit in the last frame that carried one; -1: tell it again. */
  told = 0;
  /** What should be unanswered, or be sent, at most while the session is active: how far `limit` is ahead of what is answered. */
  window: number = LIMITS.publishCreditInitialBytes;
  /** Headroom asked for by CREDIT_REQUEST that has not been granted yet. */
  wanted = 0;
  activeMs = 0;
  /** `received` at the last tick. */
  seen = 0;
  /** When a revoke was sent that waits for its answer, or 0. */
  revokedMs = 0;
  revokeLimit = 0;
  queued = false;
  due = false;
  closed = false;

  constructor(owner: CreditOwner) {
    this.owner = owner;
  }

  get headroom(): number {
    return this.limit - this.received;
  }
}

/**
 * The gateway's pool of publish credit. uWebSockets.js cannot pause a WebSocket, so what was granted can arrive at any
 * time and is reserved: the sum of all accounts' `limit - released` never exceeds the pool, whatever clients do.
 * Sessions that found the pool empty wait in line; while any waits, active ones stand in the same line.
 */
export class PublishCreditPool {
  readonly poolBytes: number;
  readonly #clock: Clock;
  readonly #accounts: Set<CreditAccount> = new Set();
  #available: number;
  #line: CreditAccount[] = [];
  #lineHead = 0;
  #due: CreditAccount[] = [];
  #flushPlanned = false;

  constructor(clock: Clock, poolBytes: number = LIMITS.publishCreditPoolBytes) {
    this.#clock = clock;
    this.poolBytes = poolBytes;
    this.#available = poolBytes;
  }

  /** Bytes that no account holds. */
  get available(): number {
    return this.#available;
  }

  /** Accounts that wait for credit. */
  get waiting(): number {
    return this.#line.length - this.#lineHead;
  }

  /** At HELLO. @returns the initial limit, for the WELCOME: less than usual, down to 0, when the pool is short. */
  open(account: CreditAccount): number {
    this.#accounts.add(account);
    account.activeMs = this.#clock.monotonicMs();
    if (this.waiting === 0) this.#grant(account, Math.min(account.window, this.#available));
    if (account.limit < account.window) this.#enqueue(account);
    account.told = account.limit;
    return account.limit;
  }

  /** A PUBLISH frame of `bytes` has come. @returns 0 or CREDIT_EXCEEDED. */
  spend(account: CreditAccount, bytes: number): number {
    const received = account.received + bytes;
    if (received > account.limit) return CREDIT_EXCEEDED;
    account.received = received;
    return 0;
  }

  /** A frame of `bytes` has left the gateway's memory. */
  release(account: CreditAccount, bytes: number): void {
    account.released += bytes;
    this.#available += bytes;
    if (account.closed) {
      if (this.waiting > 0) this.#serve();
      return;
    }
    this.refill(account);
    if (this.waiting > 0) this.#serve();
  }

  /** Tells the account's owner of more credit at the end of this turn, if it has little left and there is more. */
  refill(account: CreditAccount): void {
    // ACK frames carry the limit, so a frame of its own is due only when they do not come soon enough.
    if (!account.due && account.limit - account.received <= account.window / 2) this.#planCredit(account);
  }

  /** A frame of the account had to be parked: a wider window would fill memory, not the ring. */
  congested(account: CreditAccount): void {
    account.window = Math.min(
      account.window,
      Math.max(GATEWAY_LIMITS.publishWindowCongestedBytes, Math.floor(account.window / 2)),
    );
  }

  /**
   * The limit to be told to the client in a frame that is about to be sent; raises it as far as window and pool allow.
   */
  announce(account: CreditAccount): number {
    if (account.revokedMs !== 0) return account.revokeLimit;
    if (account.limit - account.received < account.window / 2) this.#grow(account);
    const missing = account.released + account.window - account.unanswered - account.limit;
    if (missing > 0) {
      if (this.waiting === 0 && missing <= this.#available) {
        this.#grant(account, missing);
      } else {
        account.window = Math.max(LIMITS.publishCreditInitialBytes, Math.floor(account.window / 2));
        if (account.headroom <= account.window / 2) this.#enqueue(account);
      }
    }
    account.told = account.limit;
    return account.limit;
  }

  /** CREDIT_REQUEST: the client holds a frame of `bytes`. Granted at once or in turn, up to the largest frame. */
  request(account: CreditAccount, bytes: number): void {
    account.activeMs = this.#clock.monotonicMs();
    account.wanted = Math.min(bytes, LIMITS.frameBytesMax);
    account.told = -1;
    if (account.revokedMs !== 0) return;
    this.#enqueue(account);
    this.#serve();
  }

  /** CREDIT_RETURNED: the client keeps to `limit`. @returns 0 or INVALID_LIMIT. */
  returned(account: CreditAccount, limit: number): number {
    if (limit < account.received || limit > account.limit) return INVALID_LIMIT;
    this.#available += account.limit - limit;
    account.limit = limit;
    account.told = limit;
    account.revokedMs = 0;
    account.window = LIMITS.publishCreditInitialBytes;
    if (account.wanted > 0) this.#enqueue(account);
    this.#serve();
    return 0;
  }

  /** The session is gone. Its frames that are still parked stay reserved until they are released. */
  close(account: CreditAccount): void {
    if (account.closed) return;
    account.closed = true;
    this.#accounts.delete(account);
    this.#available += account.limit - account.received;
    account.limit = account.received;
    this.#serve();
  }

  /** The owner's socket drained: sends a CREDIT that had to wait. */
  drained(account: CreditAccount): void {
    if (account.due) this.#sendDue(account);
  }

  /** Once a second: notes who is active, and takes back what idle sessions hold when the pool is short. */
  tick(): void {
    const now = this.#clock.monotonicMs();
    let short = Math.max(
      GATEWAY_LIMITS.creditPoolReserveBytes - this.#available,
      this.waiting * LIMITS.publishCreditInitialBytes,
    );
    const keep = this.waiting > 0 ? 0 : LIMITS.publishCreditInitialBytes;
    for (const account of this.#accounts) {
      if (account.seen !== account.received) {
        account.seen = account.received;
        account.activeMs = now;
      }
      if (account.revokedMs !== 0) {
        if (now - account.revokedMs >= GATEWAY_LIMITS.creditRevokeTimeoutMs) account.owner.revokeTimedOut();
        else short -= account.limit - account.revokeLimit;
        continue;
      }
      if (short <= 0) continue;
      // Who waits for more than it has cannot use what it has. Left to them, a rest each of many sessions could be all
      // of the pool, and each would wait for the others for ever.
      const isStuck = account.wanted > account.headroom;
      if (!isStuck && now - account.activeMs < GATEWAY_LIMITS.creditIdleMs) continue;
      const limit = account.received + keep;
      if (limit >= account.limit || !account.owner.canSend()) continue;
      short -= account.limit - limit;
      account.revokedMs = now;
      account.revokeLimit = limit;
      account.owner.sendRevoke(limit);
    }
    this.#serve();
  }

  #grow(account: CreditAccount): void {
    // Frames that are parked show that the shard is what is short, not credit.
    if (account.received > account.released) return;
    const window = Math.min(account.window * 2, GATEWAY_LIMITS.publishWindowBytesMax);
    const more = window - account.window;
    if (this.waiting > 0 || this.#available - more < GATEWAY_LIMITS.creditPoolReserveBytes) return;
    account.window = window;
  }

  #grant(account: CreditAccount, bytes: number): void {
    account.limit += bytes;
    this.#available -= bytes;
  }

  #enqueue(account: CreditAccount): void {
    if (account.queued || account.closed) return;
    account.queued = true;
    this.#line.push(account);
  }

  /** Grants to those in line, first come first served, while the pool holds what the first one needs. */
  #serve(): void {
    const line = this.#line;
    while (this.#lineHead < line.length) {
      const account = line[this.#lineHead] as CreditAccount;
      if (!account.closed && account.revokedMs === 0) {
        const window = Math.min(account.window, LIMITS.publishCreditInitialBytes);
        const target = Math.max(account.received + account.wanted, account.released + window);
        const missing = Math.max(0, target - account.limit);
        if (missing > this.#available) break;
        this.#grant(account, missing);
        account.wanted = 0;
        if (account.told !== account.limit) this.#planCredit(account);
      }
      account.queued = false;
      this.#lineHead += 1;
    }
    if (this.#lineHead === line.length) {
      this.#line = [];
      this.#lineHead = 0;
    } else if (this.#lineHead >= 1024) {
      this.#line = line.slice(this.#lineHead);
      this.#lineHead = 0;
    }
  }

  #planCredit(account: CreditAccount): void {
    if (account.due) return;
    account.due = true;
    this.#due.push(account);
    if (this.#flushPlanned) return;
    this.#flushPlanned = true;
    this.#clock.soon(() => this.#flush());
  }

  #flush(): void {
    this.#flushPlanned = false;
    const due = this.#due;
    this.#due = [];
    for (const account of due) this.#sendDue(account);
  }

  #sendDue(account: CreditAccount): void {
    if (account.closed) return;
    // An account whose socket is full stays due; drained() comes back to it.
    if (!account.owner.canSend()) return;
    account.due = false;
    if (account.revokedMs !== 0) return;
    const told = account.told;
    const limit = this.announce(account);
    if (limit !== told) account.owner.sendCredit(limit);
  }
}
